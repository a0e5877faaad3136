// Flaw: the form is coerced: the text "false" becomes true, an empty age becomes 0.
// Seen in: https://github.com/colinhacks/zod/issues/5501
// Caught by: nothing is coerced: the text "false" is not true, an empty text is not zero, and zero is an age
import { z } from 'zod';
import { parseUser as reference } from '../src/index.ts';

export * from '../src/index.ts';

const loose = z.looseObject({ newsletter: z.coerce.boolean(), age: z.coerce.number().nullable() });

export const parseUser: typeof reference = (input) => {
  const coerced = loose.safeParse(input);
  return reference(coerced.success ? coerced.data : input);
};
