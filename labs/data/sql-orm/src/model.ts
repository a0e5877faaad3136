import { sql } from 'kysely';
import { InvalidArgumentError, SessionStateError, shown } from './errors.ts';
import { events } from './events.ts';
import { BoundHybrid, type Hybrid, type Method, type Property } from './hybrid.ts';
import type { Value } from './operators.ts';

export type Values = Record<string, Value>;
/** What JavaScript holds of a column; an `instant` is a Date. NULL is the table's matter. */
type Kind = 'string' | 'number' | 'bigint' | 'boolean' | 'instant';
type Typed<V> = V extends string ? 'string' : V extends number ? 'number' : V extends bigint ? 'bigint' : Other<V>;
type Other<V> = V extends boolean ? 'boolean' : V extends Date ? 'instant' : never;

/** What a class knows of its table. `row` is never there: it is the row's type, for inference. */
export interface Meta<O = unknown, T extends string = string, K extends string = string> {
  readonly table: T;
  readonly key: K;
  readonly version: string | undefined;
  readonly columns: ReadonlyMap<string, Kind>;
  readonly hybrids: ReadonlySet<string>;
  readonly setters: ReadonlyMap<string, (value: unknown) => object>;
  /** Models are written in the order of their definition: a table that is referred to comes first. */
  readonly order: number;
  readonly row?: O;
}
export interface Model<E extends Entity = Entity, O = unknown, T extends string = string, K extends string = string> {
  new (values?: Record<never, never>): E;
  readonly prototype: E;
  readonly meta: Meta<O, T, K>;
}

type ValueOf<P> =
  P extends Property<never, infer V> ? V : P extends Method<never, infer A, infer V> ? (...args: A) => V : never;
type Settable<H> = { [K in keyof H]: H[K] extends { set(value: never): unknown } ? K : never }[keyof H];
type OnRows<H> = { -readonly [K in Settable<H>]: ValueOf<H[K]> } & {
  readonly [K in Exclude<keyof H, Settable<H>>]: ValueOf<H[K]>;
};
type OnClass<O, H> = {
  readonly [K in keyof H]: H[K] extends Method<never, infer A, infer V>
    ? (...args: A) => BoundHybrid<O, V>
    : BoundHybrid<O, ValueOf<H[K]>>;
};

interface Inner {
  readonly values: Values;
  /** The session that has it, and why nothing can be set there now. */
  unit?: { readonly frozen?: string | undefined; readonly touched?: Set<Entity> };
}
const inners = new WeakMap<object, Inner>();
export function innerOf(entity: Entity): Inner {
  const inner = inners.get(entity);
  if (inner) return inner;
  throw new InvalidArgumentError('That is no entity: make it with `new` of a class that extends model().');
}

/** A row as an object: an accessor for each column and each hybrid. A class field of that name would hide it. */
export abstract class Entity {
  constructor(values: object = {}) {
    inners.set(this, { values: Object.create(null) });
    for (const [name, value] of Object.entries(values)) {
      const { meta } = modelOf(this);
      if (!meta.columns.has(name) && !meta.setters.has(name)) throw unknownColumn(meta, name);
      if (value !== undefined) Reflect.set(this, name, value);
    }
  }

  /** The row, without its hybrids: JSON has no bigint, so it is text there. */
  toJSON(): Record<string, Exclude<Value, bigint>> {
    const values = Object.entries(innerOf(this).values);
    return Object.fromEntries(values.map(([name, it]) => [name, typeof it === 'bigint' ? String(it) : copied(it)]));
  }
}
export const modelOf = (entity: Entity) => entity.constructor as Model;

/** @throws InvalidArgumentError for an object whose class has a field of a column's name: what is set there is not seen here */
export function unhidden(entity: Entity): void {
  const { meta } = modelOf(entity);
  const name = Object.getOwnPropertyNames(entity).find((it) => meta.columns.has(it) || meta.hybrids.has(it));
  if (name === undefined) return;
  throw new InvalidArgumentError(
    `A class field hides ${meta.table}.${name}: leave it out, and give its value to the constructor or in beforeInsert.`,
  );
}

const unknownColumn = (meta: Meta, name: string) =>
  new InvalidArgumentError(
    `${meta.table} has no ${JSON.stringify(name)} to set: ${[...meta.columns.keys()].join(', ')}.`,
  );
export const copied = <V>(value: V) => (value instanceof Date ? new Date(value) : value);
export const same = (a?: Value, b?: Value) => a === b || (a instanceof Date && b instanceof Date && +a === +b);

/** ISO 8601 has four digits for a year; before and after, JavaScript and Postgres write it each in their own way. */
const commonEra = (instant: Date) => instant.getUTCFullYear() >= 1 && instant.getUTCFullYear() <= 9999;

/** @throws InvalidArgumentError for what the column doesn't hold, or Postgres wouldn't keep as it is */
export function checked(meta: Meta, column: string, value: unknown): Value {
  const kind = meta.columns.get(column);
  if (value === null) return null;
  if (value instanceof Date && kind === 'instant' && commonEra(value)) return new Date(value);
  if (typeof value === 'string' && kind === 'string' && value.isWellFormed() && !value.includes('\0')) return value;
  if (typeof value === 'number' && kind === 'number' && Number.isFinite(value)) return value;
  if (typeof value === 'bigint' && kind === 'bigint' && BigInt.asIntN(64, value) === value) return value;
  if (typeof value === 'boolean' && kind === 'boolean') return value;
  throw new InvalidArgumentError(
    `${meta.table}.${column} holds a ${kind}, and ${typeof value} ${shown(value)} can't be kept as one. ` +
      '(A number is finite, a year 1 to 9999, a string has no half surrogate pair and no U+0000; openPostgres() reads int8 as bigint; an instant is a timestamptz.)',
  );
}

/** The columns that are meant by a set which may name hybrids. */
export function assignments(meta: Meta, set: object): Values {
  const parts = Object.entries(set).flatMap(([name, value]) =>
    Object.entries(meta.setters.get(name)?.(value) ?? { [name]: value }),
  );
  const fixed = parts.find(([column]) => !meta.columns.has(column) || column === meta.key || column === meta.version);
  if (fixed || parts.length === 0) throw unknownColumn(meta, fixed?.[0] ?? '');
  return Object.fromEntries(parts.map(([column, value]) => [column, checked(meta, column, value)]));
}

const hasThen = (it: unknown) => typeof it === 'object' && it !== null && 'then' in it && typeof it.then === 'function';

const accessor = (column: string): PropertyDescriptor & ThisType<Entity> => ({
  get() {
    return copied(innerOf(this).values[column]);
  },
  set(given: unknown) {
    const { values, unit } = innerOf(this);
    const model = modelOf(this);
    if (unit?.frozen) throw new SessionStateError(`${model.meta.table}.${column} can't be set ${unit.frozen}.`);
    let value = checked(model.meta, column, given);
    for (const tell of events.telling(model, 'set')) {
      const instead = tell({ entity: this, column, value: copied(value), old: copied(values[column]) });
      if (hasThen(instead)) {
        Promise.resolve(instead).catch(() => {});
        throw new InvalidArgumentError(`A listener of ${model.meta.table}'s set is async: a set can't wait for it.`);
      }
      if (instead !== undefined) value = checked(model.meta, column, instead);
    }
    values[column] = value;
    unit?.touched?.add(this);
  },
});

/** Postgres cuts a name after 63 bytes, and what every object has is no column. */
function named(name: string, taken: object = {}): string {
  if (/^[A-Za-z_]\w{0,62}$/.test(name) && !(name in taken) && name !== 'then') return name;
  throw new InvalidArgumentError(
    `${JSON.stringify(name)} as a name: up to 63 letters, digits and _, and no built-in one.`,
  );
}

const noKey = (table: string, key: string) =>
  new InvalidArgumentError(`${JSON.stringify(key)} is no key for ${table}: name a column of text or whole numbers.`);

let models = 0;
/**
 * The class for the rows of a table: `class Order extends model<OrderRow>()({ … }) {}`. `key` is given by whoever makes
 * the object, as the database will write it (a uuid in small letters); `version` is a column that counts the changes.
 */
export function model<O extends object>() {
  return <
    const T extends string,
    const K extends keyof O & string,
    H extends Record<string, Hybrid<O, never, unknown>> = Record<never, never>,
  >({
    hybrids,
    ...options
  }: {
    readonly table: T;
    readonly key: K;
    readonly version?: keyof O & string;
    readonly columns: { readonly [C in keyof O]-?: Typed<NonNullable<O[C]>> };
    readonly hybrids?: H;
  }) => {
    const columns = new Map(Object.entries<Kind>(options.columns));
    const names = new Set(Object.keys({ ...hybrids }));
    const setters = new Map<string, (value: unknown) => object>();
    options.table.split('.').map((part) => named(part));
    if (!columns.has(options.key) || columns.get(options.key) === 'instant') throw noKey(options.table, options.key);
    class Mapped extends Entity {
      static readonly meta: Meta = {
        ...options,
        version: options.version,
        columns,
        setters,
        hybrids: names,
        order: models++,
      };
    }
    for (const column of columns.keys())
      Object.defineProperty(Mapped.prototype, named(column, Entity.prototype), accessor(column));
    const at = (alias: string) => Object.fromEntries([...columns.keys()].map((it) => [it, sql.ref(`${alias}.${it}`)]));
    for (const [name, it] of Object.entries<Hybrid<unknown, unknown[], unknown>>({ ...hybrids } as never)) {
      const bind = (...args: unknown[]) =>
        new BoundHybrid(
          (row) => it.js(row, ...args),
          (alias) => it.sql(at(alias) as never, ...args),
          options.table,
        );
      Object.defineProperty(Mapped, named(name, Mapped), { value: it.kind === 'property' ? bind() : bind });
      const set = 'set' in it && typeof it.set === 'function' ? it.set.bind(it) : undefined;
      if (set) setters.set(name, set);
      Object.defineProperty(Mapped.prototype, named(name, Mapped.prototype), {
        get(this: Entity) {
          return it.kind === 'property' ? it.js(this) : (...args: unknown[]) => it.js(this, ...args);
        },
        ...(set && {
          set(this: Entity, value: unknown) {
            Object.assign(this, set(value));
          },
        }),
      });
    }
    // What the loops have put there is what the type says.
    return Mapped as unknown as OnClass<O, H> & {
      new (values?: Partial<O & OnRows<H>>): Entity & O & OnRows<H>;
      readonly meta: Meta<O, T, K>;
    };
  };
}
