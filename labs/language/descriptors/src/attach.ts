import { InvalidArgumentError } from './errors.ts';
import { dataDescriptorOf, find, instances, isClass, read, remove, usable, write } from './lookup.ts';
import type { ValueOf } from './protocol.ts';
import { isFixed, isHeir, isLocked, type Namespace, ofTheInstance, ours, pyClass } from './py-class.ts';

/** What the language calls, and tells of the object itself. A method of others may look up what it is given, or keep it. */
const ITERATES: ReadonlySet<unknown> = new Set([
  Map.prototype.forEach,
  Set.prototype.forEach,
  ...'forEach map flatMap filter find findIndex findLast findLastIndex some every reduce reduceRight'
    .split(' ')
    .map((name): unknown => Reflect.get(Array.prototype, name)),
]);

/** The one Proxy of each object: whoever attaches twice, or looks it up in a WeakMap, meets the same identity. */
const proxies = new WeakMap<object, { readonly proxy: object; readonly attributes: Namespace }>();

/**
 * Puts descriptors in front of an object that exists already, such as a Map, a Date, or one with private fields. Not of
 * `this` in a constructor: the fields of a subclass would be made on the Proxy, and its methods run on the object.
 *
 * Its own methods and accessors run on the object itself: their internal slots and private fields are there, not on the
 * Proxy. So what they do inside doesn't pass the descriptors; where it must, make the class with `pyClass`, whose
 * constructor returns the Proxy. Keep no reference to `target`: it is another identity, without descriptors. What a
 * promise of its methods gives (`await client.connect()`), or a listener's `this`, may be `target`: keep what `attach`
 * returned. And what they are given stays what it is: `a.equals(b)` finds no private field in an attached `b`.
 *
 * @throws InvalidArgumentError when other attributes are attached to `target` already, or one is the name of a property
 *   that is neither writable nor configurable: the engine allows nothing but its value there.
 */
export function attach<T extends object, N extends Namespace>(
  target: T,
  attributes: N,
): Omit<T, keyof N> & { -readonly [K in keyof N]: ValueOf<N[K]> };
export function attach(target: object, attributes: Namespace): object {
  const known = proxies.get(target);
  if (known?.attributes === attributes) return known.proxy;
  if (known) throw new InvalidArgumentError('This object has other attributes attached. Name them all at once.');
  const fixed = Reflect.ownKeys(attributes).find((key) => isFixed(target, key, true));
  if (fixed !== undefined) {
    throw new InvalidArgumentError(`The object's own ${String(fixed)} is fixed: no descriptor may answer for it.`);
  }
  const name = target.constructor?.name || 'object';
  const type = ours(name, pyClass(name, [], attributes));
  const answers = (key: PropertyKey) => find(type.mro, key) !== undefined;
  const bound = new WeakMap<object, unknown>();
  const entry = { self: target, type, raw: Object.create(null), rest: target };
  const proxy: object = new Proxy(target, {
    get(_target, key) {
      if (answers(key)) return usable(key, read(entry, key));
      const value: unknown = Reflect.get(target, key, target);
      if (isFixed(target, key)) return value;
      if (typeof value !== 'function' || isClass(value) || key === 'constructor') return outside(value);
      // `map.set(…)` returns the map: the caller must not get hold of the one without descriptors.
      // A Proxy, not an arrow: a function that is kept in a property has its own properties.
      const apply = (method: () => unknown, _this: unknown, args: unknown[]) =>
        outside(Reflect.apply(method, target, ITERATES.has(value) ? [told(args[0]), ...args.slice(1)] : args));
      const method = bound.get(value) ?? new Proxy(value, { apply });
      bound.set(value, method);
      return usable(key, method);
    },
    set(_target, key, value, receiver) {
      const heir = isHeir(receiver, proxy);
      if (!answers(key)) return heir ? Reflect.set({}, key, value, receiver) : Reflect.set(target, key, value, target);
      if (heir) throw ofTheInstance(entry, key);
      write(entry, key, value);
      return true;
    },
    deleteProperty(_target, key) {
      // The engine objects where a fixed property is said to be deleted: before the descriptor has done it, not after.
      if (!answers(key)) return Reflect.deleteProperty(target, key);
      if (isLocked(target, key, true)) return false;
      if (dataDescriptorOf(entry, key) || Object.hasOwn(entry.raw, key)) remove(entry, key);
      return true;
    },
    defineProperty(_target, key, own) {
      if (!answers(key)) return Reflect.defineProperty(target, key, own);
      throw new InvalidArgumentError(
        `A descriptor answers for ${String(key)}: assign it. It can't be defined, sealed or frozen.`,
      );
    },
    has: (_target, key) => answers(key) || key in target,
  });
  const outside = (value: unknown) => (value === target ? proxy : value);
  /** `map.forEach((value, key, map) => …)`: what is called back must not get hold of it either. */
  const told = (callback: unknown) => {
    if (typeof callback !== 'function') return callback;
    return new Proxy(callback, {
      apply: (call, self, args) => outside(Reflect.apply(call as () => unknown, self, args.map(outside))),
    });
  };
  entry.self = proxy;
  entry.rest = proxy;
  instances.set(proxy, entry);
  proxies.set(target, { proxy, attributes });
  proxies.set(proxy, { proxy, attributes });
  return proxy;
}
