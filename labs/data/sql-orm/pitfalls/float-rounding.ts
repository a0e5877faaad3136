// Flaw: Math.round over a float: half goes up, -2.5 to -2, and beyond 2^53 cents are lost. Postgres' numeric does neither.
// Seen in: https://github.com/smartstore/SmartStoreNET/issues/1703
// Caught by: money is rounded half away from zero, to the last cent of int8, in JavaScript as in SQL
import { sql } from 'kysely';
import { operator, type rounded as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export const rounded: typeof Reference = operator(
  (a: bigint, b: bigint) => BigInt(Math.round(Number(a) / Number(b))),
  (a, b) => sql`round(${a}::numeric / ${b})::int8`,
);
