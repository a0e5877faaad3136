import { inspect } from 'node:util';
import { InvalidArgumentError } from './errors.ts';

/**
 * A text that Postgres keeps as it is: UTF-8 can't say half a surrogate pair (two such texts would be one), `text` can't
 * say U+0000, and an index takes no more than some 2,700 bytes.
 *
 * @throws InvalidArgumentError
 */
export function checkedText(what: string, value: string): string {
  const problem = unstorable(value);
  if (problem) throw new InvalidArgumentError(`The ${what} ${problem}.`);
  if (value !== '' && Buffer.byteLength(value) <= 1_000) return value;
  throw new InvalidArgumentError(`The ${what} has ${Buffer.byteLength(value)} bytes: give 1 to 1,000.`);
}

/** An event as it is kept. @throws InvalidArgumentError without a type, without data, and with more than these */
export function checkedEvent({ type, data, ...more }: { readonly type: string; readonly data: unknown }) {
  const kept = { type: checkedText('type of an event', type), data };
  if (data === undefined)
    throw new InvalidArgumentError(`The event ${type} has no data: give null where there is nothing to tell.`);
  const lost = Object.entries(more).find(([, value]) => value !== undefined);
  if (!lost) return kept;
  throw new InvalidArgumentError(
    `The event ${type} has ${lost[0]} beside type and data, which alone are kept: put it into the data, or leave it out.`,
  );
}

/** @throws InvalidArgumentError unless it is milliseconds to wait, which may be without end */
export function checkedWait(what: string, value: number): number {
  if (typeof value === 'number' && value >= 0) return value;
  throw new InvalidArgumentError(`${what} is ${inspect(value)}: give milliseconds, 0 or more.`);
}

/**
 * Data as JSON, if it comes back as it went: who reads an event must find what was decided.
 *
 * @throws InvalidArgumentError that names the field
 */
export function checkedJson(what: string, value: unknown): string {
  const problem = lossy(value, what, new Set());
  if (problem) throw new InvalidArgumentError(problem);
  return JSON.stringify(value);
}

function lossy(value: unknown, path: string, above: Set<object>): string | undefined {
  const bad = (why: string) => `${path} ${why}: give plain JSON.`;
  if (value === null || typeof value === 'boolean') return undefined;
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : bad(`is ${value}`);
  if (typeof value === 'string') {
    const problem = unstorable(value);
    return problem && bad(problem);
  }
  if (typeof value !== 'object') return bad(`is of type ${typeof value}`);
  if (above.has(value)) return bad('contains itself');
  if (above.size === 100) return bad('is nested more than 100 levels deep');
  if (!Array.isArray(value) && !isPlain(value)) return bad(`is a ${value.constructor?.name ?? 'foreign object'}`);
  const inside = new Set(above).add(value);
  for (const [key, item] of Array.isArray(value) ? value.entries() : Object.entries(value)) {
    if (item === undefined && !Array.isArray(value)) continue;
    const problem = unstorable(String(key)) ? `${path} has a key that Postgres can't keep.` : undefined;
    const found = problem ?? lossy(item, `${path}.${key}`, inside);
    if (found) return found;
  }
  return undefined;
}

const isPlain = (value: object) => {
  const prototype: unknown = Object.getPrototypeOf(value);
  return (prototype === Object.prototype || prototype === null) && !('toJSON' in value);
};

const unstorable = (value: string) =>
  typeof value !== 'string'
    ? `is no text but a ${typeof value}`
    : !value.isWellFormed()
      ? 'has half of a surrogate pair, which UTF-8 cannot say'
      : value.includes('\0')
        ? 'has U+0000, which Postgres cannot keep'
        : undefined;

/**
 * A name of ours as part of a statement. Postgres cuts what is longer than 63 bytes, so that two names would be one.
 *
 * @throws InvalidArgumentError
 */
export function identifier(name: string): string {
  if (typeof name !== 'string' || !/^[\p{L}\p{N}][\p{L}\p{N}_-]*$/u.test(name)) {
    throw new InvalidArgumentError(`The name ${JSON.stringify(name)} is not of letters, digits, _ and - alone.`);
  }
  const bytes = Buffer.byteLength(name);
  if (bytes <= 63) return `"${name}"`;
  throw new InvalidArgumentError(`The name ${name} has ${bytes} bytes, and Postgres keeps 63: give a shorter one.`);
}

/** @throws InvalidArgumentError unless it is a whole number from `least` to `most`, by default what a timer can wait */
export function checkedWhole(what: string, value: number, least: number, most = 2 ** 31 - 1): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new InvalidArgumentError(`${what} is ${inspect(value)}: give a whole number from ${least} to ${most}.`);
}
