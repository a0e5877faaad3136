// Flaw: a text stands in an expression as it came, so "$cents" is the amount and `{ $add: … }` a sum.
// Seen in: https://www.mongodb.com/docs/manual/reference/operator/aggregation/literal/
// Caught by: a value or a name from outside is compared, never run
export * from '../src/index.ts';

export function literal(value: unknown): unknown {
  return value;
}
