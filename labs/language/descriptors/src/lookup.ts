import { AttributeError, NotPyObjectError } from './errors.ts';
import { type Attribute, descriptor, isDataDescriptor, isDescriptor } from './protocol.ts';

/** What is known of a class: what it says itself, and whom to ask after it. */
export interface ClassRecord {
  readonly self: object;
  readonly name: string;
  readonly dict: Map<PropertyKey, unknown>;
  /** The class itself first. */
  readonly mro: readonly ClassRecord[];
  readonly meta: ClassRecord | undefined;
  /** The JavaScript class behind it. */
  readonly raw: NewableFunction;
}

/** What is known of an instance: its class, and its dictionary, which is the target of its Proxy and inherits nothing. */
export interface InstanceRecord {
  readonly self: object;
  readonly type: ClassRecord;
  readonly raw: Record<PropertyKey, unknown>;
  /** The Proxy of an object of others: what the attached attributes don't answer for is there. */
  readonly rest?: object;
}

export const classes = new WeakMap<object, ClassRecord>();
export const instances = new WeakMap<object, InstanceRecord>();

/** The places where an attribute may be found, in order. */
export type LookupPlace =
  | 'data descriptor'
  | 'own dictionary'
  | 'non-data descriptor'
  | 'class value'
  | 'JavaScript'
  | '__getattr__';

export interface Found {
  readonly place: LookupPlace;
  read(): unknown;
}

export type Holder = InstanceRecord | ClassRecord;
interface Hit {
  readonly in: ClassRecord;
  readonly value: unknown;
}

/** The instance's own dictionary: what is written here passes every descriptor by. With `attach`, that of the attributes. */
export function vars(o: object): Record<PropertyKey, unknown> {
  const record = instances.get(o);
  if (!record) throw new NotPyObjectError('Only an instance of a pyClass has a dictionary to write to.');
  return record.raw;
}

/** The class of an instance; the metaclass of a class. */
export const typeOf = (holder: Holder): ClassRecord | undefined => ('mro' in holder ? holder.meta : holder.type);

/** The first class in the order of resolution that has `key`. The search ends there, whatever it is that was found. */
export function find(mro: readonly ClassRecord[], key: PropertyKey): Hit | undefined {
  for (const record of mro) {
    if (record.dict.has(key)) return { in: record, value: record.dict.get(key) };
  }
  return undefined;
}

/** A value as the descriptor that it is: a function is a non-data descriptor, whose `get` binds it to the instance. */
export function asDescriptor(value: unknown): Attribute | undefined {
  if (isDescriptor(value)) return value;
  if (typeof value !== 'function' || isClass(value)) return undefined;
  return descriptor({ get: (o) => (o === undefined ? value : boundTo(o, value)) });
}

/** Its methods are for its instances, and it is no method itself. */
export const isClass = (value: object) => Reflect.getOwnPropertyDescriptor(value, 'prototype')?.writable === false;

/** By function, then by object: bound once, as it is `==` in Python, so that a listener is taken away as it was added. */
const bound = new WeakMap<object, WeakMap<object, unknown>>();

function boundTo(o: object, method: NewableFunction): unknown {
  const known = bound.get(method) ?? new WeakMap<object, unknown>();
  const made = known.get(o) ?? method.bind(o);
  if (!known.has(o)) bound.set(method, known.set(o, made));
  return made;
}

/**
 * A method of the instance as the engine's `using` takes it: V8 of Node 24 accepts neither a bound function nor a Proxy.
 * Source: https://github.com/nodejs/node/issues/65482
 */
export function usable(key: PropertyKey, method: unknown): unknown {
  const isAsked = (key === Symbol.dispose || key === Symbol.asyncDispose) && typeof method === 'function';
  if (!isAsked) return method;
  return function dispose(this: unknown) {
    return Reflect.apply(method, this, []);
  };
}

/** `object.__getattribute__` of CPython, and for a class `type.__getattribute__`: the order is theirs. */
export function lookup(holder: Holder, key: PropertyKey): Found | undefined {
  const type = typeOf(holder);
  const hit = type && find(type.mro, key);
  const found = hit && asDescriptor(hit.value);
  const get = found?.get && (() => found.get?.(holder.self, type?.self ?? holder.self));
  if (get && isDataDescriptor(found)) return { place: 'data descriptor', read: get };

  const own = lookupOwn(holder, key);
  if (own) return { place: 'own dictionary', read: own };

  if (get) return { place: 'non-data descriptor', read: get };
  if (hit) return { place: 'class value', read: () => hit.value };
  // Where Python's root is `object`, ours is Object (for a class, Function): `toString`, `constructor`, `name`.
  const root = 'mro' in holder ? holder.raw : (holder.rest ?? Object.prototype);
  const from = 'mro' in holder ? holder.raw : (holder.rest ?? holder.type.raw.prototype);
  if (key in root) return { place: 'JavaScript', read: () => Reflect.get(from, key, holder.self) };
  return undefined;
}

/** What the object itself has. An instance gives it as it is; a class lets its descriptors answer, without an instance. */
function lookupOwn(holder: Holder, key: PropertyKey): (() => unknown) | undefined {
  if (!('mro' in holder)) {
    const own = ownOf(holder, key);
    return Object.hasOwn(own, key) ? () => Reflect.get(own, key, holder.self) : undefined;
  }
  const hit = find(holder.mro, key);
  if (!hit) return undefined;
  const found = asDescriptor(hit.value);
  return () => (found?.get ? found.get(undefined, holder.self) : hit.value);
}

/** Where the object itself has `key`, or would get it. */
function ownOf({ type, raw, rest }: InstanceRecord, key: PropertyKey): object {
  return rest && !find(type.mro, key) ? rest : raw;
}

/** The `__getattr__` of the class, which is asked when all else has failed. */
export function hookOf(holder: Holder): ((name: PropertyKey) => unknown) | undefined {
  const type = typeOf(holder);
  const hook = type && find(type.mro, '__getattr__')?.value;
  return typeof hook === 'function' ? (name) => Reflect.apply(hook, holder.self, [name]) : undefined;
}

/** Reads `key`; the hook is asked when there is none, or when the read ends in an AttributeError, wherever that comes from. */
export function read(
  holder: Holder,
  key: PropertyKey,
  absent: (holder: Holder, key: PropertyKey) => unknown = missing,
) {
  try {
    const found = lookup(holder, key);
    if (found) return found.read();
  } catch (error) {
    const hook = error instanceof AttributeError ? hookOf(holder) : undefined;
    if (hook) return hook(key);
    throw error;
  }
  const hook = hookOf(holder);
  return hook ? hook(key) : absent(holder, key);
}

function missing(holder: Holder, key: PropertyKey): never {
  throw new AttributeError(`${label(holder, key)}: there is no such attribute.`);
}

/** `object.__setattr__`: a data descriptor of the class takes the value, else the dictionary does. */
export function write(holder: Holder, key: PropertyKey, value: unknown): void {
  const found = dataDescriptorOf(holder, key);
  const refused = (why: string) => new AttributeError(`${label(holder, key)} cannot be assigned: ${why}.`);
  if (found) {
    if (!found.set) throw refused('its descriptor has no set');
    found.set(holder.self, value);
  } else if ('mro' in holder) {
    if (holder.dict.has(key) ? Object.isFrozen(holder.raw) : !Reflect.isExtensible(holder.raw)) {
      throw refused('the class is frozen or sealed');
    }
    holder.dict.set(key, value);
    // The prototype of a JavaScript class is its dictionary, and says all but a descriptor itself.
    const isSaid = holder.self === holder.raw && !isDescriptor(value);
    if (!isSaid && key !== 'constructor') expose(holder, key);
  } else {
    const own = ownOf(holder, key);
    const isPut = own === holder.rest ? Reflect.set(own, key, value) : put(own, key, value, holder.self);
    if (!isPut) throw refused('it is read-only, or the object frozen or sealed');
  }
}

/** As an assignment does: a sealed object's properties take new values. Only a new one is defined, be it `__proto__`. */
function put(own: object, key: PropertyKey, value: unknown, self: object): boolean {
  const said = Reflect.getOwnPropertyDescriptor(own, key);
  if (!said) return Reflect.defineProperty(own, key, assigned(value));
  if (!said.set) return Reflect.set(own, key, value);
  said.set.call(self, value);
  return true;
}

/** For `super.key` in a JavaScript subclass, read or assigned, which goes along the prototypes and never asks a Proxy. */
export function expose(record: ClassRecord, key: PropertyKey): void {
  const { prototype } = record.raw;
  const get = function get(this: object) {
    const hit = find(record.mro, key);
    // It has been deleted since.
    if (!hit) return Reflect.get(Object.getPrototypeOf(prototype), key, this);
    const instance = instances.get(this);
    // `Card.prototype.spend.call(card)`: a method of the prototype waits for its `this`.
    const found = instance || isDescriptor(hit.value) ? asDescriptor(hit.value) : undefined;
    return found?.get ? found.get(this, instance?.type.self ?? record.self) : hit.value;
  };
  const set = function set(this: object, value: unknown) {
    const found = find(record.mro, key)?.value;
    const instance = instances.get(this);
    if (isDataDescriptor(found) && found.set) found.set(this, value);
    else if (isDataDescriptor(found)) throw new AttributeError(`${label(record, key)} has a descriptor without set.`);
    else if (this === prototype) write(record, key, value);
    else if (!put(instance?.raw ?? this, key, value, this))
      throw new AttributeError(`${label(record, key)} is frozen.`);
  };
  Object.defineProperty(prototype, key, { get, set, configurable: true });
}

/** `object.__delattr__` */
export function remove(holder: Holder, key: PropertyKey): void {
  const found = dataDescriptorOf(holder, key);
  const refused = (why: string) => new AttributeError(`${label(holder, key)} cannot be deleted: ${why}.`);
  if (found) {
    if (!found.delete) throw refused('its descriptor has no delete');
    found.delete(holder.self);
  } else if ('mro' in holder) {
    if (Object.isSealed(holder.raw)) throw refused('the class is frozen or sealed');
    if (!holder.dict.delete(key)) throw refused('the class has none of its own');
  } else {
    const own = ownOf(holder, key);
    if (!Object.hasOwn(own, key)) throw refused('the instance has none of its own');
    if (!Reflect.deleteProperty(own, key)) throw refused('it is fixed, or the object frozen or sealed');
  }
}

/** A property as an assignment makes it. */
export const assigned = (value: unknown) => ({ value, writable: true, enumerable: true, configurable: true });

/** The data descriptor that a write or a deletion of `key` goes to. */
export function dataDescriptorOf(holder: Holder, key: PropertyKey): Attribute | undefined {
  const type = typeOf(holder);
  const value = type && find(type.mro, key)?.value;
  return isDataDescriptor(value) ? value : undefined;
}

/** For messages: `Card.balance`. */
export function label(holder: Holder, key: PropertyKey): string {
  return `${'mro' in holder ? `class ${holder.name}` : holder.type.name}.${String(key)}`;
}
