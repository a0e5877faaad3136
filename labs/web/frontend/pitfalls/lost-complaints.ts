// Flaw: an error for a field that the form doesn't have is shown nowhere: the button does nothing, for ever.
// Seen in: https://github.com/logaretm/vee-validate/issues/4011
// Caught by: a refusal stands at its field, and what belongs to no field is not lost
import { type FieldErrors, type ProblemError, fieldErrors as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function fieldErrors<Name extends string>(
  error: ProblemError,
  fields: Readonly<Record<Name, string>>,
): FieldErrors {
  return { ...reference(error, fields), rest: [] };
}
