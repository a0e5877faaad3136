import { type Class, type Decorate, whenComplete } from './class.ts';
import { InvalidArgumentError, PrefixCollisionError } from './errors.ts';
import { derive, type Meta, typeMeta } from './meta.ts';

/**
 * The roadmap's PrefixMeta: every attribute of the class body is renamed to `prefix` + its name. Spared: symbols, what
 * begins with `__`, and `constructor`. Methods are renamed too, and no call is: `this.greet()` in a method finds nothing.
 *
 * @throws InvalidArgumentError on an empty prefix; PrefixCollisionError while the class is made, when `x` would become
 *   `attr_x` and that exists: one of the two would be lost, or each take the other's meaning.
 */
export function prefixMeta(prefix: string): Meta {
  assertPrefix(prefix);
  return derive(typeMeta, (parent) => ({
    create(name, bases, ns, kw) {
      const to = renames(name, ns.keys(), prefix);
      const renamed = new Map([...ns].map(([key, value]) => [to.get(key) ?? key, value]));
      return parent.create(name, bases, renamed, kw);
    },
  }));
}

/**
 * The same for a class that is there: renames its static members and its prototype's, in place. Fields of instances
 * don't exist while a class is made, and keep their names; so does what it inherits.
 *
 * @throws as `prefixMeta`, and InvalidArgumentError on a member that is fixed. Nothing is renamed then.
 */
export function prefixed(prefix: string): Decorate {
  assertPrefix(prefix);
  return (cls, context) =>
    whenComplete(cls, context, (complete) => {
      const sides = [complete, complete.prototype].map((side: object) => ({
        side,
        to: renames(
          complete.name,
          Reflect.ownKeys(side).filter((key) => !isInborn(side, key)),
          prefix,
        ),
      }));
      const fixed = sides.flatMap(({ side, to }) => [...to.keys()].filter((key) => !isMovable(side, key)))[0];
      if (fixed !== undefined) {
        throw new InvalidArgumentError(`${complete.name}.${String(fixed)} is fixed: a frozen class can't be renamed.`);
      }
      for (const { side, to } of sides) {
        for (const [from, target] of to) rename(side, from, target);
      }
      // `static name` had hidden the name of the class; only a decorator's context still knows it.
      if (!Object.hasOwn(complete, 'name')) {
        Object.defineProperty(complete, 'name', { value: context?.name ?? '', configurable: true });
      }
    });
}

/** Old name → new name, for the keys that get one. */
function renames(owner: string, keys: Iterable<string | symbol>, prefix: string): Map<string | symbol, string> {
  const all = new Set(keys);
  const to = new Map<string | symbol, string>();
  for (const key of all) {
    if (typeof key === 'symbol' || key.startsWith('__') || key === 'constructor') continue;
    if (all.has(prefix + key)) throw new PrefixCollisionError(owner, key, prefix + key);
    to.set(key, prefix + key);
  }
  return to;
}

function rename(owner: object, from: string | symbol, to: string): void {
  const descriptor = Reflect.getOwnPropertyDescriptor(owner, from);
  if (!descriptor) return;
  Object.defineProperty(owner, to, descriptor);
  Reflect.deleteProperty(owner, from);
}

function isMovable(owner: object, key: string | symbol): boolean {
  return Object.isExtensible(owner) && Reflect.getOwnPropertyDescriptor(owner, key)?.configurable === true;
}

/** `name`, `length` and `prototype` that every class is born with; a static member of that name is writable. */
function isInborn(owner: Class | object, key: string | symbol): boolean {
  const inborn = typeof owner === 'function' && (key === 'name' || key === 'length' || key === 'prototype');
  return inborn && Reflect.getOwnPropertyDescriptor(owner, key)?.writable === false;
}

function assertPrefix(prefix: string): void {
  if (prefix === '') throw new InvalidArgumentError('The prefix is empty: every name would collide with itself.');
}
