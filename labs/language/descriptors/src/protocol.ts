/** Marks a descriptor. Without it a Map, which has `get`, `set` and `delete` too, would be taken for one. */
const DESCRIPTOR = Symbol('descriptor');
declare const VALUE: unique symbol;

/**
 * An object in a class that answers for an attribute of the instances.
 * Source: https://docs.python.org/3/howto/descriptor.html
 */
export interface Descriptor<T = unknown, O extends object = object> {
  /** A read. `o` is undefined when the attribute is read on the class itself: by custom, answer with the descriptor then. */
  get?(o: O | undefined, owner: object): T | Descriptor<T, O>;
  /** `o.name = value`. With it or with `delete` this is a data descriptor: it comes before what the instance has. */
  set?(o: O, value: T): void;
  /** `delete o.name`. */
  delete?(o: O): void;
  /** Told once by `pyClass`, when the class is made. A descriptor that is assigned to a class later isn't told. */
  setName?(owner: object, name: string): void;
}

/** A descriptor that `pyClass` knows as one; `T` is the type of the attribute. */
export interface Attribute<T = unknown, O extends object = object> extends Descriptor<T, O> {
  readonly [DESCRIPTOR]: true;
  readonly [VALUE]?: T;
}

/** Marks `d` as a descriptor and returns it. Whatever isn't marked is a plain value. */
export function descriptor<T = unknown, O extends object = object>(d: Descriptor<T, O>): Attribute<T, O> {
  return Object.assign(d, { [DESCRIPTOR]: true } as const);
}

export function isDescriptor(value: unknown): value is Attribute {
  return typeof value === 'object' && value !== null && DESCRIPTOR in value;
}

/** Whether `d` is a descriptor with `set` or `delete` (either is enough), which makes it come before the instance's own. */
export function isDataDescriptor(d: unknown): d is Attribute {
  return isDescriptor(d) && (d.set !== undefined || d.delete !== undefined);
}

/** The type of an attribute, of what a class says about it: a descriptor's own type, else the value's. */
export type ValueOf<V> = V extends { readonly [DESCRIPTOR]: true; readonly [VALUE]?: infer T } ? T : V;
