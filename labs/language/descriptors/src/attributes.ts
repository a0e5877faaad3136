import {
  AttributeError,
  DescriptorNameError,
  InvalidArgumentError,
  PermissionDeniedError,
  shown,
  ValidationError,
} from './errors.ts';
import { assigned, classes, vars } from './lookup.ts';
import { type Attribute, type Descriptor, descriptor } from './protocol.ts';

export interface FieldOptions<T> {
  /** What a read gives before the first write. Default: none, and a read is an AttributeError. */
  readonly default?: T;
}

/** The name under which a class holds a descriptor, as soon as there is one. */
class Name {
  #owner: string | undefined;
  #name: string | undefined;

  readonly set = (owner: object, name: string): void => {
    if (this.#name !== undefined && this.#name !== name) {
      throw new DescriptorNameError(`One descriptor is both ${this.#name} and ${name}: make one for each.`);
    }
    this.#name = name;
    // Not `owner.name`, which may be an attribute; and of two owners neither is right for the other's instances.
    const said = classes.get(owner)?.name ?? ('name' in owner ? String(owner.name) : '');
    const of = said === '' ? '' : `${said}.`;
    this.#owner = (this.#owner ?? of) === of ? of : '';
  };

  /** For messages. */
  toString(): string {
    return this.#name === undefined ? 'The attribute' : `${this.#owner}${this.#name}`;
  }

  get required(): string {
    if (this.#name !== undefined) return this.#name;
    throw new DescriptorNameError(
      'This descriptor has no name: it was assigned after its class was made. Call setName(owner, name).',
    );
  }
}

/** A value of each instance's own, which is collected with the instance. `check` throws at what it refuses. */
function slot<T>(check: (value: unknown, name: Name) => void, options: FieldOptions<T>): Attribute<T> {
  const values = new WeakMap<object, { readonly value: T }>();
  const name = new Name();
  const initial = hasDefault(options) ? { value: options.default } : undefined;
  if (initial) check(initial.value, name);
  const self: Attribute<T> = descriptor<T>({
    get(o) {
      if (o === undefined) return self;
      const held = values.get(o) ?? initial;
      if (held) return held.value;
      throw new AttributeError(`${name} has not been set.`);
    },
    set(o, value) {
      check(value, name);
      values.set(o, { value });
    },
    delete(o) {
      if (!values.delete(o)) throw new AttributeError(`${name} has not been set: there is nothing to delete.`);
    },
    setName: name.set,
  });
  return self;
}

const hasDefault = <T>(options: FieldOptions<T>): options is Required<FieldOptions<T>> => 'default' in options;

/** An attribute that holds what `guard` lets pass. @throws ValidationError on a write of anything else. */
export function typed<T>(guard: (value: unknown) => value is T, options: FieldOptions<T> = {}): Attribute<T> {
  const wanted = guard.name ? `what ${guard.name} accepts` : 'what its guard accepts';
  return slot<T>((value, name) => {
    if (!guard(value)) throw new ValidationError(String(name), value, wanted);
  }, options);
}

/** A number from `lo` to `hi`, both included; NaN is none. @throws InvalidArgumentError when nothing is in between. */
export function range(lo: number, hi: number, options: FieldOptions<number> = {}): Attribute<number> {
  if (!(lo <= hi)) throw new InvalidArgumentError(`No number is from ${lo} to ${hi}.`);
  return slot<number>((value, name) => {
    const inside = typeof value === 'number' && value >= lo && value <= hi;
    if (!inside) throw new ValidationError(String(name), value, `a number from ${lo} to ${hi}`);
  }, options);
}

/** One of `values`, compared as a Set does. @throws InvalidArgumentError without any. */
export function oneOf<const V extends readonly unknown[]>(...values: V): Attribute<V[number]> {
  if (values.length === 0) throw new InvalidArgumentError('oneOf needs at least one value to choose from.');
  const allowed = new Set<unknown>(values);
  return slot<V[number]>((value, name) => {
    if (allowed.has(value)) return;
    const wanted = values.map((each) => (each instanceof Object ? String(each) : shown(each)));
    throw new ValidationError(String(name), value, `one of ${wanted.join(', ')}`);
  }, {});
}

/** Computed by functions. Without `set` or `del` the attribute is read-only, or not deletable: an AttributeError. */
export function property<T, O extends object = object>(
  get: (o: O) => T,
  set?: (o: O, value: T) => void,
  del?: (o: O) => void,
): Attribute<T, O> {
  const name = new Name();
  const self: Attribute<T, O> = descriptor<T, O>({
    get: (o) => (o === undefined ? self : get(o)),
    set(o, value) {
      if (!set) throw new AttributeError(`${name} is read-only.`);
      set(o, value);
    },
    delete(o) {
      if (!del) throw new AttributeError(`${name} cannot be deleted.`);
      del(o);
    },
    setName: name.set,
  });
  return self;
}

/** A function that is not bound to the instance. */
export function staticMethod<F>(value: F): Attribute<F> {
  return descriptor<F>({ get: () => value });
}

/**
 * Computed at the first read and kept in the instance's dictionary, where the next read finds it before it comes here.
 * It can be overwritten; after a deletion it is computed again. What throws, or is a promise that rejects, is not kept;
 * readers who come while the promise is pending share it. A frozen instance keeps nothing, and computes at each read.
 * A thenable that is no `Promise`, such as a query of Prisma or Knex, is a value and kept as it is: make `compute` async.
 *
 * @throws DescriptorNameError on a read, when it has no name (see `Descriptor.setName`).
 */
export function lazy<T, O extends object = object>(compute: (o: O) => T): Attribute<T, O> {
  const name = new Name();
  const self: Attribute<T, O> = descriptor<T, O>({
    get(o) {
      if (o === undefined) return self;
      const key = name.required;
      const own = vars(o);
      // A data descriptor around this one hides the dictionary, and would have it computed each time.
      if (Object.hasOwn(own, key)) return own[key] as T;
      const value = compute(o);
      Reflect.defineProperty(own, key, assigned(value));
      // Not `instanceof`: a Promise may be of another realm.
      if (Object.prototype.toString.call(value) === '[object Promise]') {
        Promise.resolve(value).catch(() => {
          // A frozen dictionary has what the class inherits; and `delete` would throw there.
          if (Reflect.getOwnPropertyDescriptor(own, key)?.value === value) Reflect.deleteProperty(own, key);
        });
      }
      return value;
    },
    setName: name.set,
  });
  return self;
}

/**
 * Who may do what. Only `true` is a yes: a promise, which is truthy, is not. Without a function everybody may.
 * `attribute` is what an `AuditEntry` calls it, such as `Card.balance`.
 */
export interface Policy {
  read?(o: object, attribute: string): boolean;
  /** Asked for deletions too. */
  write?(o: object, attribute: string): boolean;
}

/**
 * Asks `policy` at every read, write and deletion, before `inner` sees it. Default inner: any value.
 * @throws PermissionDeniedError
 */
export function guarded<T, O extends object = object>(
  policy: Policy,
  inner: Attribute<T, O> = anything(),
): Attribute<T, O> {
  return around(inner, (action, o, attribute, act) => {
    const ask = action === 'read' ? policy.read : policy.write;
    const may: unknown = ask ? ask.call(policy, o, attribute) : true;
    if (may !== true) throw new PermissionDeniedError(attribute, action);
    return act();
  });
}

/** What happened to an audited attribute. The value is not in it: a log is read by more people than the attribute. */
export interface AuditEntry {
  readonly action: 'read' | 'write' | 'delete';
  /** Class and name, as in errors: `Card.balance`; `balance` alone when classes of two names share the descriptor. */
  readonly attribute: string;
  readonly object: object;
  /** False when it ended in an error, such as a refusal. */
  readonly ok: boolean;
}

/** Tells `sink` of every read, write and deletion, the failed ones too, once it is done. What `sink` throws, the caller gets. */
export function audited<T, O extends object = object>(
  sink: (entry: AuditEntry) => void,
  inner: Attribute<T, O> = anything(),
): Attribute<T, O> {
  return around(inner, (action, object, attribute, act) => {
    let ok = false;
    try {
      const result = act();
      ok = true;
      return result;
    } finally {
      sink({ action, attribute, object, ok });
    }
  });
}

/** Can be written once, then neither written nor deleted. A write that `inner` refuses doesn't count. */
export function readOnly<T, O extends object = object>(inner: Attribute<T, O> = anything()): Attribute<T, O> {
  const written = new WeakSet<object>();
  return around(inner, (action, o, attribute, act) => {
    if (action === 'read') return act();
    if (action === 'delete' || written.has(o)) throw new AttributeError(`${attribute} is read-only.`);
    const result = act();
    written.add(o);
    return result;
  });
}

function anything<T, O extends object>(): Attribute<T, O> {
  return slot<T>(() => {}, {});
}

type Action = AuditEntry['action'];

/** A data descriptor that does what `inner` does, through `how`. */
function around<T, O extends object>(
  inner: Attribute<T, O>,
  how: <R>(action: Action, o: O, attribute: string, act: () => R) => R,
): Attribute<T, O> {
  const name = new Name();
  const lacking = (action: Action): never => {
    throw new AttributeError(`${name}: its descriptor knows no ${action}.`);
  };
  const self: Attribute<T, O> = descriptor<T, O>({
    get(o, owner): T | Descriptor<T, O> {
      if (o === undefined) return self;
      return how('read', o, String(name), () => (inner.get ? inner.get(o, owner) : lacking('read')));
    },
    set(o, value) {
      how('write', o, String(name), () => (inner.set ? inner.set(o, value) : lacking('write')));
    },
    delete(o) {
      how('delete', o, String(name), () => (inner.delete ? inner.delete(o) : lacking('delete')));
    },
    setName(owner, given) {
      name.set(owner, given);
      inner.setName?.(owner, given);
    },
  });
  return self;
}
