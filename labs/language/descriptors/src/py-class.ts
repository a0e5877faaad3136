import { descends } from './access.ts';
import { adopt, dictionaryOf } from './adopt.ts';
import { AttributeError, ClassDefinitionError } from './errors.ts';
import {
  type ClassRecord,
  classes,
  dataDescriptorOf,
  expose,
  find,
  type InstanceRecord,
  instances,
  label,
  lookup,
  read,
  remove,
  usable,
  write,
} from './lookup.ts';
import { linearize } from './mro.ts';
import { isDescriptor, type ValueOf } from './protocol.ts';

/** What a class body says: descriptors, methods, plain values; `__init__` and the hook `__getattr__`. */
export type Namespace = Readonly<Record<PropertyKey, unknown>>;

type AnyClass = new (...args: never) => object;
type Bases<B extends readonly AnyClass[]> = B extends readonly [
  infer First extends AnyClass,
  ...infer Rest extends readonly AnyClass[],
]
  ? InstanceType<First> & Bases<Rest>
  : object;
type Own<N> = { -readonly [K in keyof N as K extends `__${string}__` ? never : K]: ValueOf<N[K]> };
/** What an instance has: what its class says, and for the rest its bases. */
export type Instance<N, B extends readonly AnyClass[]> = Own<N> & Omit<Bases<B>, keyof N>;
/** Those of the first `__init__`. A class without one, such as a mixin, has `readonly []`, and leaves them to the next base. */
type Arguments<N, B extends readonly AnyClass[]> = N extends { __init__(...args: infer A): void }
  ? A
  : B extends readonly [PyClass<object, infer A>, ...infer Rest extends readonly AnyClass[]]
    ? A extends []
      ? A
      : A extends readonly []
        ? Arguments<object, Rest>
        : A
    : readonly [];

/** A class. `new` makes an instance; a JavaScript class may extend it, private fields included. */
export interface PyClass<I extends object = object, A extends readonly unknown[] = never> {
  new (...args: A): I;
  readonly name: string;
  readonly prototype: I;
}

export interface ClassOptions {
  /** A class whose attributes the new class has, as an instance has those of its class. Default: that of the bases, or none. */
  readonly metaclass?: AnyClass;
}

// `object`, not Namespace, which an empty body would be inferred as: any name would be an `unknown` of its instances.
export type DefineClass = <N extends object, const B extends readonly AnyClass[]>(
  name: string,
  bases: B,
  namespace: N & ThisType<Instance<N, B>>,
  options?: ClassOptions,
) => PyClass<Instance<N, B>, Arguments<N, B>>;

/** What JavaScript itself asks of any object, to learn what it is: an answer from a hook would be taken at its word. */
const PROBES: ReadonlySet<PropertyKey> = new Set(['then', 'toJSON']);

/** The Proxy of an instance. Its target is the instance's dictionary, so that every trap without an entry here is right. */
export class InstanceTraps implements ProxyHandler<object> {
  protected readonly record: InstanceRecord;

  constructor(record: InstanceRecord) {
    this.record = record;
  }

  /** As `getattr`, but a missing attribute is undefined: `await`, JSON and inspectors try names that nobody has. */
  get(target: object, key: PropertyKey, _receiver: unknown): unknown {
    if (typeof key !== 'symbol' && !PROBES.has(key)) return read(this.record, key, () => undefined);
    const value = lookup(this.record, key)?.read();
    return isFixed(target, key) ? value : usable(key, value);
  }

  set(_target: object, key: PropertyKey, value: unknown, receiver: unknown): boolean {
    if (typeof receiver !== 'object' || receiver === null) return false;
    if (!isHeir(receiver, this.record.self)) write(this.record, key, value);
    else if (!dataDescriptorOf(this.record, key)) return Reflect.set({}, key, value, receiver);
    else throw ofTheInstance(this.record, key);
    return true;
  }

  /** A class field of a JavaScript subclass is defined, not assigned: it has to pass the descriptor all the same. */
  defineProperty(target: object, key: PropertyKey, own: PropertyDescriptor): boolean {
    const found = dataDescriptorOf(this.record, key);
    if (!found) return Reflect.defineProperty(target, key, own);
    if ('value' in own && own.configurable !== false) {
      this.#assertExtensible(target, key);
      write(this.record, key, own.value);
      return true;
    }
    // Object.freeze names neither; and the dictionary may have the key too, below the descriptor.
    const isFrozen = !('value' in own || own.get || own.set) && Object.hasOwn(target, key);
    if (isFrozen) return Reflect.defineProperty(target, key, own);
    // What is fixed has to lie in the target, or the engine objects, after the write.
    throw new AttributeError(
      `${label(this.record, key)} has a descriptor: no accessor and no fixed value can take its place.`,
    );
  }

  deleteProperty(target: object, key: PropertyKey): boolean {
    // The engine would object, but only after the descriptor has deleted its value.
    if (isLocked(target, key, dataDescriptorOf(this.record, key) !== undefined)) {
      throw new AttributeError(
        `${label(this.record, key)} cannot be deleted: it is fixed, or the object frozen or sealed.`,
      );
    }
    if (dataDescriptorOf(this.record, key) || Object.hasOwn(target, key)) remove(this.record, key);
    return true;
  }

  getPrototypeOf(): object {
    return this.record.type.raw.prototype;
  }

  /** From now on the engine compares what `getPrototypeOf` says with the target. */
  preventExtensions(target: object): boolean {
    return Reflect.setPrototypeOf(target, this.getPrototypeOf()) && Reflect.preventExtensions(target);
  }

  has(_target: object, key: PropertyKey): boolean {
    return lookup(this.record, key) !== undefined;
  }

  /** The engine would object too, but only after the descriptor has taken the value. */
  #assertExtensible(target: object, key: PropertyKey): void {
    if (Reflect.isExtensible(target)) return;
    throw new AttributeError(
      `${label(this.record, key)} cannot be defined: the object is frozen or sealed. Assign it.`,
    );
  }
}

/**
 * Has `o` this instance as its prototype? Then what is written to it is a property of its own, as anywhere else. Not so
 * a Proxy that somebody has put around the instance.
 */
export function isHeir(o: object, self: object): boolean {
  return Object.prototype.isPrototypeOf.call(self, o);
}

export function ofTheInstance(record: InstanceRecord, key: PropertyKey): AttributeError {
  return new AttributeError(`${label(record, key)} is an attribute of the instance, not of its heirs.`);
}

/** Does the engine allow no other value than the target's own, or (`written`) no talk of a write? */
export function isFixed(target: object, key: PropertyKey, written = false): boolean {
  const own = Reflect.getOwnPropertyDescriptor(target, key);
  return own?.configurable === false && (own.writable === false || (written && !own.writable && !(own.get && own.set)));
}

/** Would the engine object, were `key` said to be deleted? `stays`: the target's own property is still there then. */
export function isLocked(target: object, key: PropertyKey, stays: boolean): boolean {
  const own = Reflect.getOwnPropertyDescriptor(target, key);
  return own !== undefined && (!own.configurable || (stays && !Reflect.isExtensible(target)));
}

class ClassTraps implements ProxyHandler<AnyClass> {
  readonly #record: ClassRecord;
  readonly #Traps: typeof InstanceTraps;

  constructor(record: ClassRecord, Traps: typeof InstanceTraps) {
    this.#record = record;
    this.#Traps = Traps;
  }

  get(target: AnyClass, key: PropertyKey, receiver: unknown): unknown {
    if (key === 'prototype') return target.prototype;
    // A JavaScript subclass inherits from this Proxy: its metaclass is asked for it, not for this class.
    const self = adopt(receiver)?.self ?? this.#record.self;
    const holder = self === this.#record.self ? this.#record : { ...this.#record, self };
    if (key === Symbol.hasInstance) return (o: unknown) => descends(o, self);
    if (typeof key === 'symbol' || PROBES.has(key)) return lookup(holder, key)?.read();
    return read(holder, key, () => undefined);
  }

  set(_target: AnyClass, key: PropertyKey, value: unknown, receiver: unknown): boolean {
    const type = adopt(receiver);
    const isOurs = type === this.#record || (type && dataDescriptorOf(type, key));
    if (!isOurs) return Reflect.set({}, key, value, receiver);
    write(type, key, value);
    return true;
  }

  deleteProperty(_target: AnyClass, key: PropertyKey): boolean {
    if (dataDescriptorOf(this.#record, key) || this.#record.dict.has(key)) remove(this.#record, key);
    return true;
  }

  has(_target: AnyClass, key: PropertyKey): boolean {
    return lookup(this.#record, key) !== undefined;
  }

  construct(_target: AnyClass, args: readonly unknown[], newTarget: NewableFunction): object {
    const type = adopt(newTarget);
    if (!type) throw new ClassDefinitionError(`${newTarget.name} does not extend ${this.#record.name}.`);
    const raw: Record<PropertyKey, unknown> = Object.create(null);
    const record = { self: Object(raw), type, raw };
    // Returned from the base constructor, the Proxy is `this` in every subclass: its private fields are made on it.
    record.self = new Proxy(raw, new this.#Traps(record));
    instances.set(record.self, record);
    const init = find(type.mro, '__init__')?.value;
    if (typeof init === 'function') Reflect.apply(init, record.self, args);
    return record.self;
  }
}

/** The record of a class made by `pyClass`. @throws ClassDefinitionError for any other. */
export function ours(name: string, base: AnyClass): ClassRecord {
  const record = adopt(base);
  if (record && record.self !== record.raw) return record;
  const why = record ? 'its constructor would not run' : 'it is not made by pyClass';
  throw new ClassDefinitionError(
    `${name} cannot derive from ${base.name}: ${why}. Write class ${name} extends ${base.name}.`,
  );
}

/** Python's rule: the most derived of all metaclasses named, and it must derive from each of them. */
function metaclassOf(name: string, named: readonly (ClassRecord | undefined)[]): ClassRecord | undefined {
  const candidates = named.filter((each) => each !== undefined);
  const winner = candidates.find(({ mro }) => candidates.every((each) => mro.includes(each)));
  if (winner || candidates.length === 0) return winner;
  const names = [...new Set(candidates.map((each) => each.name))].join(' and ');
  throw new ClassDefinitionError(`${name}: the metaclasses ${names} conflict. Name one that derives from all of them.`);
}

/** `pyClass`, for instances whose Proxy has these traps. */
export function definer(Traps: typeof InstanceTraps): DefineClass {
  const define = (
    name: string,
    bases: readonly AnyClass[],
    namespace: Namespace,
    options: ClassOptions = {},
  ): AnyClass => {
    if (name === '') throw new ClassDefinitionError('A class needs a name; it got an empty one.');
    const twice = bases.find((base, index) => bases.indexOf(base) !== index);
    if (twice) throw new ClassDefinitionError(`${name}: the base ${twice.name} is named twice.`);
    const parents = bases.map((base) => ours(name, base));
    const meta = metaclassOf(name, [
      options.metaclass && ours(name, options.metaclass),
      ...parents.map((each) => each.meta),
    ]);
    const raw = class {};
    const dict = dictionaryOf(namespace);
    const record = { self: raw, name, raw, dict, meta, mro: linearize(name, parents) };
    record.mro = [record, ...record.mro];
    record.self = new Proxy(raw, new ClassTraps(record, Traps));
    classes.set(record.self, record);
    Object.defineProperty(raw, 'name', { value: name });
    Object.defineProperty(raw.prototype, 'constructor', { value: record.self, configurable: true, writable: true });
    if (bases[0]) Object.setPrototypeOf(raw.prototype, bases[0].prototype);
    const inherited = record.mro.flatMap((each) => [...each.dict.keys()]).filter((key) => key !== 'constructor');
    for (const key of new Set([...inherited, ...dict.keys()])) expose(record, key);
    for (const [key, value] of dict) {
      if (isDescriptor(value) && typeof key === 'string') value.setName?.(record.self, key);
    }
    return record.self;
  };
  // What a class has is known from its namespace alone; that its instances have it is what all this code is for.
  return define as DefineClass;
}

/**
 * Makes a class as Python's `class` statement does.
 *
 * Functions are methods, but a class is a plain value; descriptors (see `descriptor`) answer for their attribute;
 * `__init__` gets the arguments of `new`; `__getattr__` is asked for what nobody has. An assignment to an instance lands
 * in its dictionary, unless a data descriptor of its class takes it.
 *
 * @throws ClassDefinitionError for an empty name, a base that is no such class or is named twice, bases without a
 *   consistent order (C3), metaclasses in conflict; and what a `setName` throws.
 */
export const pyClass: DefineClass = definer(InstanceTraps);
