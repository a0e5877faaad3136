import { isExpression, type RawBuilder, sql } from 'kysely';
import type * as lab from '../src/index.ts';
import { type Change, type Entity, Session as Given, type Meta, type Model, type Value } from '../src/index.ts';
import type { Statement, Task } from '../src/statements.ts';

// What is not the idea is given: hybrids, models, listeners, statements, transactions. Three kinds of thing are yours:
// what JavaScript must compute so that it agrees with SQL, what a session remembers, and when it tells whom.
// `h` in `pnpm lab learn sql-orm` gives a hint. The files of src/ hold solutions; an error that you throw is exported by
// src/index.ts: add it to the imports.
export {
  BoundHybrid,
  type Change,
  Entity,
  type EventMap,
  type EventName,
  Events,
  events,
  type Hybrid,
  hybrid,
  hybridMethod,
  InvalidArgumentError,
  ListenerError,
  type ListenOptions,
  type Meta,
  type Model,
  model,
  type Operand,
  type Operator,
  OutOfRangeError,
  openPostgres,
  SessionStateError,
  SqlOrmError,
  StaleError,
  StatementError,
  type Term,
  type Terms,
  type Value,
} from '../src/index.ts';

type Fragment = RawBuilder<unknown>;

/** Given: runs `js` over values; over columns it writes `toSql`. */
export function dual<A extends readonly Value[]>(js: (...values: A) => Value, toSql: (...of: Fragment[]) => Fragment) {
  const types = { bigint: 'int8', string: 'text', boolean: 'bool' };
  const fragment = (operand: unknown): Fragment => {
    const type = Object.entries(types).find(([name]) => name === typeof operand)?.[1] ?? 'timestamptz';
    if (operand === null) return sql`NULL`;
    return isExpression(operand) ? sql`${operand}` : sql`${operand}::${sql.raw(type)}`;
  };
  return (...operands: readonly unknown[]): unknown =>
    operands.some(isExpression) ? sql`(${toSql(...operands.map(fragment))})` : js(...(operands as unknown as A));
}

// ── JavaScript as SQL has it ────────────────────────────────────────────────────────────────────────────────────────

/** What SQL says when one of the values is NULL. Its flaw: it asks JavaScript. */
export const strict =
  <A extends readonly Value[], V extends Value>(js: (...values: A) => V) =>
  (...values: A): V | null =>
    js(...values);

/** The side that decides an AND is false, and that of an OR is true; null is "not known". */
const decidedBy =
  (_decisive: boolean) =>
  (_a: boolean | null, _b: boolean | null): boolean | null =>
    todo('decidedBy');

/** a / b to the nearest whole number, as `round(numeric)` does it. Its flaw: it is cut off. */
const nearest = (a: bigint, b: bigint): bigint => a / b;

/** 'YYYY-MM-DD' of an instant in a named zone. Its flaw: it is London's. */
const dayOf = (instant: Date, _zone: string): string => instant.toISOString().slice(0, 10);

/** Given, with `strict`: the operators. */
export const operator = <A extends readonly Value[], V extends Value>(
  js: (...values: A) => V,
  toSql: (...of: Fragment[]) => Fragment,
) => dual(strict(js), toSql) as lab.Operator<A, V>;

type Two = [a: bigint, b: bigint];
// biome-ignore format: a table is read by its columns
export const { plus, minus, times, atLeast, not, charLength } = {
  plus: operator<Two, bigint>((a, b) => a + b, (a, b) => sql`${a} + ${b}`),
  minus: operator<Two, bigint>((a, b) => a - b, (a, b) => sql`${a} - ${b}`),
  times: operator<Two, bigint>((a, b) => a * b, (a, b) => sql`${a} * ${b}`),
  atLeast: operator<Two, boolean>((a, b) => a >= b, (a, b) => sql`${a} >= ${b}`),
  not: operator<[boolean], boolean>((a) => !a, (a) => sql`NOT ${a}`),
  charLength: operator<[string], bigint>((text) => BigInt(text.length), (text) => sql`char_length(${text})::int8`),
};
export const and = dual(decidedBy(false), (a, b) => sql`${a} AND ${b}`) as typeof lab.and;
export const or = dual(decidedBy(true), (a, b) => sql`${a} OR ${b}`) as typeof lab.or;
export const coalesce = dual(
  (a: Value, b: Value) => a ?? b,
  (...all) => sql`coalesce(${sql.join(all)})`,
) as typeof lab.coalesce;
export const rounded = operator<Two, bigint>(
  (a, b) => nearest(a, b),
  (a, b) => sql`div(2 * ${a}::numeric + sign(${a}::numeric) * abs(${b}::numeric), 2 * ${b}::numeric)::int8`,
);
const day = operator<[instant: Date, zone: string], string>(
  (instant, zone) => dayOf(instant, zone),
  (instant, zone) => sql`to_char(${instant} AT TIME ZONE ${zone}, 'YYYY-MM-DD')`,
);
/**
 * Its flaw: it takes any zone. A zone is a name that both know ('Europe/Berlin', 'UTC'), no offset ('+02:00'): anything
 * else is an InvalidArgumentError, before anything is computed or sent.
 */
export const dayIn: typeof lab.dayIn = (instant, zone) => day(instant, zone);

// ── the session ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** A unit of work. Given: transactions, statements, one caller at a time, states of objects (`this.tasks()`). */
export class Session<DB = unknown> extends Given<DB> {
  /** The object that the row with this key already is here. */
  protected override known(_meta: Meta, _key: Value): Entity | undefined {
    return undefined;
  }

  /** From now on the row of this object is this object. `modelOf(entity).meta` of src/model.ts knows table and key. */
  protected override remember(_entity: Entity): void {}

  /** It was deleted, or let go. */
  protected override forget(_entity: Entity): void {}

  /**
   * What is to be written of an object: `values` as they are, `stored` as the row was read. `same` of src/model.ts compares.
   * A Change is `{ column, from, to }`; what was not there is null.
   */
  protected override changes(_values: Record<string, Value>, _stored: Record<string, Value>): Change[] {
    return [];
  }

  /**
   * Before the first statement: `this.tell(model, 'beforeFlush', { session: this, entities })` for each model, then
   * `this.tellOf('before', task)` for each task. Given: `this.dirty()`, the objects that may have changed (`modelOf` knows
   * the model of each); `this.tasks()`, anew at each call, with `{ entity, verb }`.
   */
  protected override async before(): Promise<void> {}

  /** After the last statement: `this.tellOf('after', task)` for each task. */
  protected override async after(_tasks: readonly Task[]): Promise<void> {}

  /** Which row `t` of the table is meant by `v`, an object of ours. Its flaw: it looks at the key only. */
  protected override match({ key }: Meta): Statement {
    return sql`${sql.ref(`t.${key}`)} = ${sql.ref(`v.${key}`)}`;
  }

  /**
   * The last step of a commit. Given: `this.sendCommit()`; after it `this.end()`, which returns the log (a Map: object → `was`
   * it in the database before, `is` it now); `this.announce('afterCommit', log, (all) => ({ inserted, updated, deleted }))`.
   */
  protected override async finish(): Promise<void> {
    await this.announce('afterCommit', this.log, (inserted) => ({ inserted, updated: [], deleted: [] }));
    await this.sendCommit();
    this.end();
  }

  /** A bulk update has changed rows. Given: `this.letGo(table)`, for the objects of them; `this.tell(model, name, event)`. */
  protected override async bulkDone(_model: Model, _event: lab.EventMap<Entity>['bulkUpdate']): Promise<void> {}
}

function todo(what: string): never {
  throw new Error(`${what}: not written yet`);
}
