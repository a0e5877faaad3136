// Flaw: the payload is cast to the type that it ought to have: an interface stops nothing.
// Seen in: https://github.com/rnw-community/rnw-community/pull/458
// Caught by: a payload is checked, not cast
import { ok, type parseUser as reference, type User } from '../src/index.ts';

export * from '../src/index.ts';

export const parseUser: typeof reference = (input) => ok(input as User);
