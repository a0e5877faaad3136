import { assertPlainText, InvalidOptionError } from './errors.ts';

/** Names of fields whose value is never written. Also at the end of a longer name: `dbPassword`, `x-api-key`. */
const SECRETS = [
  'password',
  'passwd',
  'secret',
  'token',
  'authorization',
  'cookie',
  'apikey',
  'privatekey',
  'cardnumber',
];
const DEEPEST = 8;
/** Characters and entries of one value, all told: lists of one list are small in memory, and endless when written. */
const MOST_WRITTEN = 100_000;
const LONGEST_TEXT = 32_768;
const LONGEST_SECRET = 4_096;
const MOST_ENTRIES = 200;
const HIDDEN = '[redacted]';

/** Gives what can be written of a value: a copy of plain JSON, bounded, without secrets. Never throws. */
export class Redactor {
  readonly #secrets: readonly string[];

  /**
   * @param more names of further fields to hide, compared by their letters and digits.
   * @throws InvalidOptionError
   */
  constructor(more: readonly string[] = []) {
    if (!Array.isArray(more)) throw new InvalidOptionError('secrets is a list of names.');
    for (const each of more) {
      assertPlainText('A name in secrets', each);
      if (plain(each) === '') throw new InvalidOptionError(`${JSON.stringify(each)} in secrets has no letter.`);
    }
    this.#secrets = [...SECRETS, ...more.map(plain)];
  }

  /** Credentials in a text: `Bearer …`, and the password of a URL. */
  text(text: string): string {
    // Looked at a little longer than it may be: what begins before the cut is hidden, too.
    const safe = text
      .slice(0, LONGEST_TEXT + LONGEST_SECRET)
      .replace(/\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi, `$1 ${HIDDEN}`)
      .replace(/(:\/\/[^\s:/@]{0,100}:)[^\s/"']{1,4000}@/g, `$1${HIDDEN}@`);
    return `${safe.slice(0, LONGEST_TEXT)}${text.length > LONGEST_TEXT ? '…' : ''}`.toWellFormed();
  }

  value(value: unknown): unknown {
    return this.#copy(value, [], { left: MOST_WRITTEN });
  }

  #copy(value: unknown, path: readonly unknown[], room: Room): unknown {
    if (room.left <= 0) return '[too large]';
    room.left--;
    if (typeof value === 'string') {
      const text = this.text(value);
      room.left -= text.length;
      return text;
    }
    // A function can have a `toJSON`: what it says would be written as it is.
    if (typeof value === 'function') return undefined;
    if (typeof value === 'bigint' || (typeof value === 'number' && !Number.isFinite(value))) return String(value);
    if (typeof value !== 'object' || value === null) return typeof value === 'symbol' ? String(value) : value;
    if (path.includes(value)) return '[circular]';
    if (path.length >= DEEPEST) return '[too deep]';
    try {
      return this.#object(value, [...path, value], room);
    } catch {
      return '[unreadable]';
    }
  }

  #object(value: object, path: readonly unknown[], room: Room): unknown {
    const copy = (each: unknown) => this.#copy(each, path, room);
    if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? String(value) : value.toISOString();
    // What says itself what it is: a URL, a decimal number.
    if (!(value instanceof Error) && 'toJSON' in value && typeof value.toJSON === 'function') {
      return copy(value.toJSON());
    }
    if (Array.isArray(value)) return value.slice(0, MOST_ENTRIES).map(copy);
    if (value instanceof Set) return [...value.values().take(MOST_ENTRIES)].map(copy);
    const kept = [...entriesOf(value)].map(([name, each]) => {
      const key = this.text(String(name)) || '(empty)';
      room.left -= key.length;
      return [key, this.isSecret(key) ? HIDDEN : copy(each)] as const;
    });
    return Object.fromEntries(kept);
  }

  isSecret(name: string): boolean {
    const bare = plain(name);
    return this.#secrets.some((secret) => bare.endsWith(secret));
  }
}

interface Room {
  left: number;
}

function entriesOf(value: object): Iterable<readonly [unknown, unknown]> {
  if (value instanceof Map) return value.entries().take(MOST_ENTRIES);
  const names = Object.keys(value).slice(0, MOST_ENTRIES);
  // The stack tells what was thrown and where; what an HTTP client hangs on its errors is the request's headers.
  if (value instanceof Error) names.push('name', 'message', 'stack', 'cause', 'errors');
  return names.map((name) => [value instanceof Error && name === 'name' ? 'type' : name, read(value, name)]);
}

function read(value: object, name: string): unknown {
  try {
    return Reflect.get(value, name);
  } catch {
    return '[unreadable]';
  }
}

const plain = (name: string) =>
  name
    .normalize('NFKC')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]/gu, '');
