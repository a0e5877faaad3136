import { InvalidValueError } from './errors.ts';

/**
 * `value` in its composed form (NFC), if it has 1 to `most` characters, and none that a database refuses or changes: no
 * NUL, no half of a surrogate pair. Anybody can send those in JSON; and "é" as one character, or as two.
 *
 * @throws InvalidValueError
 */
export function text(what: string, value: string, most: number): string {
  const good = typeof value === 'string' && value.trim() !== '' && value.isWellFormed() && !value.includes('\0');
  const composed = good ? value.normalize('NFC') : '';
  if (good && composed.length <= most) return composed;
  throw new InvalidValueError(what, value, `1 to ${most} characters that can be written down`);
}
