import { UnstorableJsonError } from './errors.ts';
import { flawOf } from './text.ts';

/** What jsonb keeps. Integers beyond ±(2^53 − 1) are bigints. */
export type Json = null | boolean | number | bigint | string | readonly Json[] | JsonObject;
export type JsonObject = { readonly [key: string]: Json };

const DEEPEST = 100;

/**
 * JSON text that jsonb gives back as the value that went in (−0 as 0, which is what JSON has).
 *
 * @throws UnstorableJsonError that names the place: U+0000 and half surrogates, which Postgres refuses; integers that
 * a number can't hold exactly, NaN, undefined, dates and other objects, which JSON would change in silence
 */
export function toJson(value: unknown, path = '$', depth = 0): string {
  const refuse = (why: string): never => {
    throw new UnstorableJsonError(path, why);
  };
  if (value === null || typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) return refuse(`is ${value}: JSON has no such number.`);
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
      return refuse(`is ${value}, beyond 2^53, where a number stands for several integers: give a bigint.`);
    }
    return String(value);
  }
  if (typeof value === 'string') {
    const problem = flawOf(value);
    return problem ? refuse(`${problem}.`) : JSON.stringify(value);
  }
  if (typeof value !== 'object') return refuse(`is of type ${typeof value}: leave the key out, or give JSON.`);
  if (depth >= DEEPEST) return refuse(`is nested more than ${DEEPEST} levels deep, or contains itself.`);
  if (Array.isArray(value)) {
    return `[${Array.from(value, (item: unknown, index) => toJson(item, `${path}[${index}]`, depth + 1)).join()}]`;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    return refuse(`is a ${value.constructor?.name}: give plain JSON.`);
  }
  const fields = Object.entries(value).map(([key, item]: [string, unknown]) => {
    const problem = flawOf(key);
    if (problem) return refuse(`has a key that ${problem}.`);
    return `${JSON.stringify(key)}:${toJson(item, `${path}.${key}`, depth + 1)}`;
  });
  return `{${fields.join()}}`;
}

/**
 * Reads what jsonb gives: integers beyond ±(2^53 − 1) become bigints. Fractions become the nearest number, as
 * everywhere in JavaScript; read one that has more digits with `->>`, as text.
 */
export function fromJson(text: string): Json {
  // The reviver costs several times the parsing; only sixteen digits in a row can hide such an integer.
  return /\d{16}/.test(text) ? JSON.parse(text, exactly) : JSON.parse(text);
}

function exactly(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  const source = context?.source;
  if (typeof value !== 'number' || Number.isSafeInteger(value) || source === undefined) return value;
  return /^-?\d+$/.test(source) ? BigInt(source) : value;
}
