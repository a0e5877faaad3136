import { InvalidValueError } from './errors.ts';

/**
 * `value`, if it has 1 to `most` characters, and none that a database refuses or changes: no NUL, no half of a surrogate
 * pair. Anybody can send those in JSON.
 *
 * @throws InvalidValueError
 */
export function text(what: string, value: string, most: number): string {
  if (value.trim() !== '' && value.length <= most && value.isWellFormed() && !value.includes('\0')) return value;
  throw new InvalidValueError(what, value, `1 to ${most} characters that can be written down`);
}
