import type {
  Attribute,
  AuditEntry,
  DefineClass,
  FieldOptions,
  LookupStep,
  Namespace,
  Policy,
  ValueOf,
} from '../src/index.ts';

// The words of the subject are given: what a descriptor is, how one is marked, and the errors. What a class, an instance
// and a lookup are is yours. `h` in `pnpm lab learn descriptors` gives a hint.
export type {
  Attribute,
  AuditEntry,
  ClassOptions,
  DefineClass,
  Descriptor,
  FieldOptions,
  Instance,
  LookupPlace,
  LookupStep,
  Namespace,
  Policy,
  PyClass,
  ValueOf,
} from '../src/index.ts';
export {
  AttributeError,
  ClassDefinitionError,
  DescriptorNameError,
  DescriptorsError,
  descriptor,
  InvalidArgumentError,
  isDescriptor,
  NotPyObjectError,
  PermissionDeniedError,
  ValidationError,
} from '../src/index.ts';

// ── the protocol ────────────────────────────────────────────────────────────────────────────────────────────────────

/** Whether `d` is a descriptor (`isDescriptor`) with `set` or `delete`: it comes before what the instance has. */
export function isDataDescriptor(_d: unknown): _d is Attribute {
  return todo('isDataDescriptor');
}

/**
 * Makes a class as Python's `class` statement does. `new` makes an instance: a Proxy, whose target is its dictionary.
 *
 * Functions are methods (non-data descriptors that bind, once for each object), but a class is a plain value; `__init__`
 * gets the arguments of `new`, `__getattr__` is asked for what nobody has. Bases are asked in C3 order. `setName` is
 * called once the class stands. A metaclass is to the class what the class is to the instance. A JavaScript class may
 * extend the result: return the Proxy from `construct`. To define a data descriptor's attribute in an instance, be it by
 * a class field, is to assign it, and an AttributeError where it can't be assigned, such as an accessor.
 *
 * @throws ClassDefinitionError for an empty name, a base or metaclass that is none, a base twice, no C3 order, conflict
 *   of metaclasses.
 */
export const pyClass: DefineClass = () => todo('pyClass');

/**
 * Reads: 1. the first class in the order of resolution that has `name`; 2. if that is a data descriptor with `get`: its
 * get; 3. the instance's dictionary; 4. the get of what was found in 1; 5. what was found in 1; 6. `__getattr__`.
 * An AttributeError on the way leads to 6. A class reads likewise: its own classes stand in 3, asked without instance.
 * A number is the name that it is behind a dot, here and below: `o[1]` is `o['1']`.
 *
 * @throws AttributeError when there is none and no `fallback`, NotPyObjectError for an object of others.
 */
export function getattr(_o: object, _name: PropertyKey, ..._fallback: [fallback?: unknown]): unknown {
  return todo('getattr');
}

/** Assigns: a data descriptor's `set`, or the dictionary. @throws AttributeError when the descriptor has no `set`. */
export function setattr(_o: object, _name: PropertyKey, _value: unknown): void {
  todo('setattr');
}

/** Deletes, as `setattr` assigns. @throws AttributeError when there is nothing to delete. */
export function delattr(_o: object, _name: PropertyKey): void {
  todo('delattr');
}

/** Whether `getattr` gives something; only an AttributeError counts as no. */
export function hasattr(_o: object, _name: PropertyKey): boolean {
  return todo('hasattr');
}

/** The instance's own dictionary. @throws NotPyObjectError for anything but an instance. */
export function vars(_o: object): Record<PropertyKey, unknown> {
  return todo('vars');
}

/** The classes in the order in which they are asked, for an instance or a class. */
export function mro(_o: object): readonly object[] {
  return todo('mro');
}

/** Whether `o` is an instance of `type` or of a class derived from it. */
export function isInstance(_o: unknown, _type: object): boolean {
  return todo('isInstance');
}

/** The six places of `LookupPlace` in order, why each wins or is passed over, and which one `getattr` reads from. */
export function explain(_o: object, _name: PropertyKey): readonly LookupStep[] {
  return todo('explain');
}

// ── managed attributes ──────────────────────────────────────────────────────────────────────────────────────────────

// Errors, policies and audits call an attribute by class and name, `Card.balance`, which `setName` is told; by its name
// alone when classes of two names share it. A ValidationError is given what was wanted in words, and makes the message:
// those of `range` are `a number from 0 to 100`. All other messages are yours, where no law asks for a word of them.

/** Holds what `guard` lets pass, for each instance. @throws ValidationError on a write of anything else. */
export function typed<T>(_guard: (value: unknown) => value is T, _options: FieldOptions<T> = {}): Attribute<T> {
  return todo('typed');
}

/** A number from `lo` to `hi`. @throws ValidationError on a write, InvalidArgumentError when nothing is in between. */
export function range(_lo: number, _hi: number, _options: FieldOptions<number> = {}): Attribute<number> {
  return todo('range');
}

/**
 * One of `values`. Its error names them so that a refused `10` doesn't look like an allowed `'10'` or `10n`: `"10"`, `10n`.
 *
 * @throws ValidationError on a write, InvalidArgumentError without values.
 */
export function oneOf<const V extends readonly unknown[]>(..._values: V): Attribute<V[number]> {
  return todo('oneOf');
}

/** Computed by functions; without `set` or `del` an AttributeError. */
export function property<T, O extends object = object>(
  _get: (o: O) => T,
  _set?: (o: O, value: T) => void,
  _del?: (o: O) => void,
): Attribute<T, O> {
  return todo('property');
}

/** A function that isn't bound. */
export function staticMethod<F>(_value: F): Attribute<F> {
  return todo('staticMethod');
}

/** Computed at the first read, then kept in the dictionary of the instance; see the laws for failures and promises. */
export function lazy<T, O extends object = object>(_compute: (o: O) => T): Attribute<T, O> {
  return todo('lazy');
}

/** Asks `policy` before `inner` (default: any value). @throws PermissionDeniedError unless the answer is `true`. */
export function guarded<T, O extends object = object>(_policy: Policy, _inner?: Attribute<T, O>): Attribute<T, O> {
  return todo('guarded');
}

/** Tells `sink` of each read, write and deletion of `inner` (default: any value), refused or not. */
export function audited<T, O extends object = object>(
  _sink: (entry: AuditEntry) => void,
  _inner?: Attribute<T, O>,
): Attribute<T, O> {
  return todo('audited');
}

/** Written once. @throws AttributeError on a second write and on a deletion. */
export function readOnly<T, O extends object = object>(_inner?: Attribute<T, O>): Attribute<T, O> {
  return todo('readOnly');
}

// ── objects of others ───────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Puts descriptors in front of an object that exists already. Its own methods run on the object itself, never on the
 * Proxy, and one object has one Proxy.
 *
 * @throws InvalidArgumentError when it has other attributes attached, or a fixed property of that name; and whenever
 *   somebody defines, seals or freezes one of these attributes later.
 */
export function attach<T extends object, N extends Namespace>(
  _target: T,
  _attributes: N,
): Omit<T, keyof N> & { -readonly [K in keyof N]: ValueOf<N[K]> } {
  return todo('attach');
}

function todo(what: string): never {
  throw new Error(`${what} is not written yet: its comment in attempt/index.ts is the task.`);
}
