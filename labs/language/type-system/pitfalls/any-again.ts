// Flaw: whatever is thrown is taken for an Error; a thrown string has no message, and undefined has nothing at all.
// Seen in: https://typescript-eslint.io/rules/no-explicit-any/
// Caught by: what nobody knows is narrowed before it is used
import { fixes as reference } from '../src/index.ts';

export * from '../src/index.ts';

export const fixes: typeof reference = {
  ...reference,
  'error-or-not': "    return Object(error) === error && 'message' in Object(error) ? Object(error).message : '';",
  'any-by-omission': 'export function debug(data: any) {',
};
