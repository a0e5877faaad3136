import { InvalidArgumentError } from './errors.ts';

/**
 * A table's name that stands in SQL without quotes, and leaves room for an index's within Postgres' 63 bytes. SQL's own
 * words (`order`, `user`) are left to Postgres, which refuses them.
 *
 * @throws InvalidArgumentError
 */
export function tableName(name: string): string {
  if (typeof name === 'string' && /^[a-z][a-z0-9_]{0,29}$/.test(name)) return name;
  throw new InvalidArgumentError(
    `The table ${JSON.stringify(name)} is no name: give 1 to 30 of a-z, 0-9 and _, a letter first.`,
  );
}

/**
 * A text that Postgres keeps as it is, for a key of at most `mostBytes` or a text of any length.
 *
 * @throws InvalidArgumentError for U+0000, half a surrogate pair, an empty key, or more bytes
 */
export function storableText(what: string, text: string, mostBytes?: number): string {
  const problem = flawOf(text);
  if (problem) throw new InvalidArgumentError(`The ${what} ${problem}.`);
  if (mostBytes === undefined || (text !== '' && Buffer.byteLength(text) <= mostBytes)) return text;
  throw new InvalidArgumentError(`The ${what} has ${Buffer.byteLength(text)} bytes: give 1 to ${mostBytes}.`);
}

/** Why Postgres can't keep this text, if it can't. */
export function flawOf(text: unknown): string | undefined {
  if (typeof text !== 'string') return `is no text but of type ${typeof text}`;
  if (text.includes('\0')) return 'has U+0000, which Postgres cannot keep';
  return text.isWellFormed() ? undefined : 'has half of a surrogate pair, which UTF-8 cannot say';
}
