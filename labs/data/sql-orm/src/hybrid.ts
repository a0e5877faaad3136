import { type AliasableExpression, type AliasedExpression, type Expression, type OperationNode, sql } from 'kysely';
import type { Term } from './operators.ts';

export type Terms<O> = { readonly [K in keyof O]-?: Term<O[K]> };
type Columns<O> = { readonly [K in keyof O]-?: Expression<O[K]> };
type Args = readonly unknown[];

/** One question about a row, and its answer in either language. */
export interface Hybrid<O, A extends Args, V> {
  readonly kind: 'property' | 'method';
  js(row: O, ...args: A): V;
  sql(columns: Columns<O>, ...args: A): Expression<V>;
}
export interface Property<O, V> extends Hybrid<O, [], V> {
  readonly kind: 'property';
}
/** It can be written: a value for it is values for columns. */
export interface Writable<O, V> extends Property<O, V> {
  set(value: V): Partial<O>;
}
export interface Method<O, A extends Args, V> extends Hybrid<O, A, V> {
  readonly kind: 'method';
}
/** A function of operators, which serves both sides, or a pair that says what operators can't. */
type Shared<O, A extends Args, V> = (row: Terms<O>, ...args: A) => Term<V>;
interface Pair<O, A extends Args, V> {
  js(row: O, ...args: A): V;
  sql(columns: Columns<O>, ...args: A): Expression<NoInfer<V>>;
}

function sides<O, A extends Args, V>(definition: Shared<O, A, V> | Pair<O, A, V>): Pair<O, A, V> {
  if (typeof definition !== 'function') {
    return { js: definition.js, sql: (columns, ...args) => sql<V>`(${definition.sql(columns, ...args)})` };
  }
  // At run time a Term is the value or the expression itself.
  const both = definition as unknown as (row: O | Columns<O>, ...args: A) => V & Expression<V>;
  return { js: both, sql: (columns, ...args) => sql<V>`${both(columns, ...args)}` };
}

/**
 * A property of a row that JavaScript and SQL answer alike. Of a pair, that is a property to test. With `set` it can be
 * written too. After SQLAlchemy's `hybrid_property`, its `expression` and its `setter`.
 *
 * @example `hybrid<OrderRow>()((o) => times(o.quantity, o.unit_cents))`
 */
export function hybrid<O>() {
  type Set<V> = { set(value: V): Partial<O> };
  function define<V>(definition: Shared<O, [], V>): Property<O, V>;
  function define<V>(definition: Pair<O, [], V> & Set<NoInfer<V>>): Writable<O, V>;
  function define<V>(definition: Pair<O, [], V>): Property<O, V>;
  function define<V>(definition: Shared<O, [], V> | (Pair<O, [], V> & Partial<Set<V>>)): Property<O, V> {
    return { ...('set' in definition && { set: definition.set }), kind: 'property', ...sides(definition) };
  }
  return define;
}

/** The same with arguments: `order.placedOn('Asia/Shanghai')`, and `Order.placedOn('Asia/Shanghai')` in SQL. */
export const hybridMethod =
  <O>() =>
  <A extends Args, V>(definition: Shared<O, A, V> | Pair<O, A, V>): Method<O, A, V> => ({
    kind: 'method',
    ...sides(definition),
  });

/** A hybrid of a table: an expression for Kysely's `where`, `orderBy` and `select`. */
export class BoundHybrid<O, V> implements AliasableExpression<V> {
  /** Its value for a row: an entity, or a plain row. */
  readonly of: (row: O) => V;
  /** The same for a table that stands in the query under another name. */
  readonly at: (alias: string) => BoundHybrid<O, V>;
  readonly toOperationNode: () => OperationNode;
  readonly expressionType: V | undefined = undefined;

  constructor(of: (row: O) => V, compile: (alias: string) => Expression<V>, table: string) {
    this.of = of;
    this.at = (alias) => new BoundHybrid(of, compile, alias);
    this.toOperationNode = () => compile(table).toOperationNode();
  }

  as<A extends string>(alias: A): AliasedExpression<V, A> {
    return sql<V>`${this}`.as(alias);
  }
}
