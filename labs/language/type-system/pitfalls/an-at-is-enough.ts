// Flaw: an address is whatever has an @ in it.
// Seen in: forms that look for an @ alone, and send mail to "@"
// Caught by: an identity is made by its constructor alone, and a program that mixes two is mended
import { type Email, err, ok, type email as reference } from '../src/index.ts';

export * from '../src/index.ts';

const isEmail = (value: unknown): value is Email => typeof value === 'string' && value.includes('@');

export const email: typeof reference = (value) =>
  isEmail(value) ? ok(value) : err({ path: [], message: 'must be an e-mail address' });
