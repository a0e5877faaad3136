import { InvalidQueryError } from './errors.ts';

/** A column of the row itself, computed by the database: `update({ stock: F('stock').minus(1) })` loses no concurrent update. */
export class FieldExpression<K extends string> {
  readonly name: K;
  readonly terms: readonly { readonly operator: '+' | '-' | '*'; readonly by: unknown }[];

  constructor(name: K, terms: FieldExpression<K>['terms'] = []) {
    this.name = name;
    this.terms = terms;
  }
  plus(by: number | bigint | string): FieldExpression<K> {
    return new FieldExpression(this.name, [...this.terms, { operator: '+', by }]);
  }
  minus(by: number | bigint | string): FieldExpression<K> {
    return new FieldExpression(this.name, [...this.terms, { operator: '-', by }]);
  }
  times(by: number | bigint | string): FieldExpression<K> {
    return new FieldExpression(this.name, [...this.terms, { operator: '*', by }]);
  }
}
export type F<K extends string> = FieldExpression<K>;
export const F = <const K extends string>(name: K): F<K> => new FieldExpression(name);

/** Conditions joined by other than "and": `filter(Q.or({ stock: 0 }, Q.not({ price__gt: '9' })))`. */
export class Q<W> {
  readonly operator: 'and' | 'or' | 'not';
  readonly parts: readonly (W | Q<W>)[];

  private constructor(operator: Q<W>['operator'], parts: readonly (W | Q<W>)[]) {
    if (parts.length === 0) throw new InvalidQueryError(`Q.${operator}() without a condition has no meaning.`);
    this.operator = operator;
    this.parts = parts;
  }
  // Inferred from where the condition is used, so that a wrong key is an error there.
  static and<W>(...parts: readonly (NoInfer<W> | Q<NoInfer<W>>)[]): Q<W> {
    return new Q<W>('and', parts);
  }
  static or<W>(...parts: readonly (NoInfer<W> | Q<NoInfer<W>>)[]): Q<W> {
    return new Q<W>('or', parts);
  }
  /** Also true where the condition is NULL. */
  static not<W>(part: NoInfer<W> | Q<NoInfer<W>>): Q<W> {
    return new Q<W>('not', [part]);
  }
}

export const AGGREGATES = ['count', 'sum', 'avg', 'min', 'max'] as const;
export type AggregateKind = (typeof AGGREGATES)[number];
export interface Aggregate<Kind extends AggregateKind, P extends string> {
  readonly kind: Kind;
  readonly path: P;
}
const aggregate =
  <Kind extends AggregateKind>(kind: Kind) =>
  <const P extends string>(path: P): Aggregate<Kind, P> => ({ kind, path });
/** How many: rows of a relation (`Count('books')`), or values that aren't NULL. */
export const Count = aggregate('count');
/** Null where there is nothing to add up. */
export const Sum = aggregate('sum');
/** A float, whatever the column. */
export const Avg = aggregate('avg');
export const Min = aggregate('min');
export const Max = aggregate('max');
