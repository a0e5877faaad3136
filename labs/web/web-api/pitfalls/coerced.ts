// Flaw: Number() reads what is no decimal number: an empty text is 0, `0x10` is 16, and 9007199254740993 is another one.
// Seen in: https://github.com/colinhacks/zod/issues/2461
// Caught by: a number in a query is one if it prints as it came
import { z } from 'zod';
import type { IntegerRange } from '../src/index.ts';

export * from '../src/index.ts';

export const integer = ({ min = -Infinity, max = Infinity }: IntegerRange = {}) =>
  z.string().pipe(z.coerce.number<string>().int().min(min).max(max));
