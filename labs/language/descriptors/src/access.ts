import { adopt, makerOf, recordOf } from './adopt.ts';
import { AttributeError } from './errors.ts';
import {
  asDescriptor,
  find,
  hookOf,
  instances,
  type LookupPlace,
  lookup,
  read,
  remove,
  typeOf,
  write,
} from './lookup.ts';
import { isDataDescriptor } from './protocol.ts';

export { vars } from './lookup.ts';

/** A number is the name that it is behind a dot: `o[1]` is `o['1']`. */
const keyOf = (name: PropertyKey) => (typeof name === 'number' ? String(name) : name);

/**
 * Reads an attribute as Python does: `o` is an instance or a class.
 *
 * @param fallback Given instead of an AttributeError. `undefined` counts if it is passed.
 * @throws AttributeError when there is none, NotPyObjectError for another object, and whatever the descriptor throws.
 */
export function getattr(o: object, name: PropertyKey, ...fallback: [fallback?: unknown]): unknown {
  try {
    return read(recordOf(o), keyOf(name));
  } catch (error) {
    if (fallback.length > 0 && error instanceof AttributeError) return fallback[0];
    throw error;
  }
}

/**
 * Assigns an attribute: a data descriptor of the class decides, else the value goes into the object's own dictionary.
 *
 * @throws AttributeError when the descriptor has no `set`, and whatever it throws.
 */
export function setattr(o: object, name: PropertyKey, value: unknown): void {
  write(recordOf(o), keyOf(name), value);
}

/** Deletes an attribute, as `setattr` assigns it. @throws AttributeError when there is nothing to delete. */
export function delattr(o: object, name: PropertyKey): void {
  remove(recordOf(o), keyOf(name));
}

/** Whether `getattr` gives something; only an AttributeError counts as no, so a refusal is thrown. */
export function hasattr(o: object, name: PropertyKey): boolean {
  const missing = Symbol('missing');
  return getattr(o, name, missing) !== missing;
}

/** The classes that are asked for an attribute of `o`'s class, or of the class `o`, in order. */
export function mro(o: object): readonly object[] {
  const record = recordOf(o);
  return ('mro' in record ? record : record.type).mro.map(({ self }) => self);
}

/** Whether `o` is an instance of `type` or of one derived from it; a class is one of its metaclass. */
export function isInstance(o: unknown, type: object): boolean {
  const record = typeof o === 'object' && o !== null ? instances.get(o) : adopt(o);
  return (record && typeOf(record)?.mro.some(({ self }) => self === type)) ?? false;
}

/** `o instanceof type`: along the prototypes too, where an heir of an instance and a Proxy around one are told. */
export function descends(o: unknown, type: object): boolean {
  if (isInstance(o, type)) return true;
  if (o === null || o === undefined) return false;
  const prototype: object | null = Object.getPrototypeOf(o);
  return adopt(makerOf(prototype))?.mro.some(({ self }) => self === type) || descends(prototype, type);
}

/** One place where an attribute may be, and whether it is what a read of it gives. */
export interface LookupStep {
  readonly place: LookupPlace;
  readonly wins: boolean;
  readonly why: string;
}

/**
 * Where `getattr(o, name)` looks, in order, what it finds there, and which place wins. Nothing is called.
 *
 * No step wins when the attribute is missing. A descriptor that throws an AttributeError hands over to `__getattr__`
 * after it has won.
 */
export function explain(o: object, name: PropertyKey): readonly LookupStep[] {
  const record = recordOf(o);
  const type = typeOf(record);
  const key = keyOf(name);
  const hit = type && find(type.mro, key);
  const inClass = hit ? `${hit.in.name} is the first class with it, as ${kindOf(hit.value)}` : 'no class has it';
  const hook = hookOf(record);
  const winner = lookup(record, key)?.place ?? (hook ? '__getattr__' : undefined);
  const places: readonly [LookupPlace, string][] = [
    ['data descriptor', inClass],
    ['own dictionary', winner === 'own dictionary' ? 'it is there' : 'it is not there'],
    ['non-data descriptor', inClass],
    ['class value', inClass],
    ['JavaScript', 'what it inherits in JavaScript'],
    ['__getattr__', hook ? 'the class has the hook' : 'no class has the hook'],
  ];
  const last = places.findIndex(([place]) => place === winner);
  return places.map(([place, why], index) => ({
    place,
    wins: index === last,
    why: last >= 0 && index > last ? 'not asked' : why,
  }));
}

function kindOf(value: unknown): string {
  if (isDataDescriptor(value)) return value.get ? 'a data descriptor' : 'a data descriptor that cannot be read';
  return asDescriptor(value)?.get ? 'a non-data descriptor' : 'a plain value';
}
