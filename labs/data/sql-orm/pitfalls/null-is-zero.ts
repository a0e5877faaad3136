// Flaw: NULL counts as zero, as in JavaScript's own arithmetic: an order without a quantity costs 0.00, and SQL says NULL.
// Seen in: https://github.com/pallets-eco/flask-sqlalchemy/issues/118
// Caught by: NULL makes NULL, and what is unknown decides nothing: JavaScript and SQL give one answer
import { sql } from 'kysely';
import { dual, type times as Reference, type Value } from '../src/index.ts';

export * from '../src/index.ts';

const whole = (value: Value) => (typeof value === 'bigint' ? value : 0n);

export const times = dual(
  (a: Value, b: Value) => whole(a) * whole(b),
  (a, b) => sql`${a} * ${b}`,
) as typeof Reference;
