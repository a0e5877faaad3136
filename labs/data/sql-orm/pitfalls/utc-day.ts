// Flaw: the day is cut off toISOString, which is UTC: in China an order before 8 in the morning is yesterday's.
// Seen in: https://github.com/dcloudio/uni-ui/pull/998
// Caught by: an instant has one calendar day in a named zone, in JavaScript as in SQL
import { isExpression } from 'kysely';
import { dayIn as reference } from '../src/index.ts';

export * from '../src/index.ts';

export const dayIn: typeof reference = (instant, zone) => {
  const day: unknown = instant instanceof Date ? instant.toISOString().slice(0, 10) : null;
  return isExpression(instant) ? reference(instant, zone) : (day as ReturnType<typeof reference<typeof instant>>);
};
