// Flaw: the first fault ends the check: whoever fills in the form learns of them one by one.
// Seen in: the default of Joi, `abortEarly: true`: https://joi.dev/api/
// Caught by: all that is wrong with a payload is told at once, each with its path
import { err, parseUser as reference } from '../src/index.ts';

export * from '../src/index.ts';

export const parseUser: typeof reference = (input) => {
  const result = reference(input);
  return result.ok ? result : err(result.error.slice(0, 1));
};
