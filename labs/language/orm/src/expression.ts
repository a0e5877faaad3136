import { InvalidQueryError } from './errors.ts';

/** A column of the row itself and what is added, computed by the database: no concurrent update is lost. */
export class FieldExpression<K extends string> {
  readonly name: K;
  readonly by: number;
  constructor(name: K, by: number) {
    this.name = name;
    this.by = by;
  }
}
/** `update({ stock: F('stock').minus(1) })`. */
export const F = <const K extends string>(name: K) => ({
  plus: (by: number) => new FieldExpression(name, by),
  minus: (by: number) => new FieldExpression(name, -by),
});

/** A condition as it is now: its object, its lists and dates are the caller's to change. */
export function kept<C>(condition: C): C {
  if (condition instanceof Q) return condition;
  const isObject = typeof condition === 'object' && condition !== null;
  const prototype: unknown = isObject ? Object.getPrototypeOf(condition) : undefined;
  const own = isObject && (prototype === Object.prototype || prototype === null) ? Object.entries(condition) : [];
  const what = isObject ? 'an empty or foreign object' : String(condition);
  // What says nothing must never mean "all rows".
  if (own.length === 0)
    throw new InvalidQueryError(`A condition is an object like { title: 'x' } or a Q; it is ${what}.`);
  const date = (value: unknown): unknown => (value instanceof Date ? new Date(value) : value);
  const copy = (value: unknown) => (Array.isArray(value) ? Array.from(value, date) : date(value));
  return Object.fromEntries(own.map(([name, value]) => [name, copy(value)])) as C;
}

/** Conditions joined by other than "and": `filter(Q.or({ stock: 0 }, Q.not({ price__gt: '9' })))`. */
export class Q<W> {
  readonly operator: 'and' | 'or' | 'not';
  readonly parts: readonly (W | Q<W>)[];

  private constructor(operator: Q<W>['operator'], parts: readonly (W | Q<W>)[]) {
    if (parts.length === 0) throw new InvalidQueryError(`Q.${operator}() without a condition has no meaning.`);
    this.operator = operator;
    this.parts = parts.map(kept);
  }
  // Inferred from where the condition is used, so that a wrong key is an error there.
  static readonly and = <W>(...parts: readonly (NoInfer<W> | Q<NoInfer<W>>)[]) => new Q<W>('and', parts);
  static readonly or = <W>(...parts: readonly (NoInfer<W> | Q<NoInfer<W>>)[]) => new Q<W>('or', parts);
  /** Also true where the condition is NULL. */
  static readonly not = <W>(part: NoInfer<W> | Q<NoInfer<W>>) => new Q<W>('not', [part]);
}
