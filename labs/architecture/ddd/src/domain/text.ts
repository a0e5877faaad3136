import { InvalidValueError } from './errors.ts';

/** How much longer a text may be before it is composed: "ᾂ" may come as four characters, and nothing as more. */
const SPREAD = 4;

/**
 * `value` in its composed form (NFC), if it has 1 to `most` characters, and none that a database refuses or changes: no
 * NUL, no half of a surrogate pair. Anybody can send those in JSON; and "é" as one character, or as two.
 *
 * @throws InvalidValueError
 */
export function text(what: string, value: string, most: number): string {
  // The length first: to compose half a megabyte of accents takes many seconds, and nobody else is served meanwhile.
  const short = typeof value === 'string' && value.length <= SPREAD * most;
  const good = short && value.trim() !== '' && value.isWellFormed() && !value.includes('\0');
  const composed = good ? value.normalize('NFC') : '';
  if (good && composed.length <= most) return composed;
  throw new InvalidValueError(what, value, `1 to ${most} characters that can be written down`);
}
