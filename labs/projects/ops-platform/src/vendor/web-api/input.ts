import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { MalformedRequestError } from './errors.ts';

export const places = ['params', 'query', 'body'] as const;
export type Place = (typeof places)[number];

/** One fault of a request. It never has the value, which may be a secret. */
export interface Issue {
  readonly in: Place;
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** What came, before anybody has looked at it. */
export type Raw = Readonly<Record<Place, unknown>>;

export interface IntegerRange {
  /** Default: the least whole number that a double can tell from its neighbours, -(2^53 - 1). */
  readonly min?: number;
  /** Default: 2^53 - 1. */
  readonly max?: number;
}

/** A whole number in text, as in a query. It is one if it prints as it came: not `0x10`, `1e3`, ` 7`, `007`, `9007199254740993`. */
export function integer({ min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER }: IntegerRange = {}) {
  return z
    .string()
    .refine((text) => Number.isSafeInteger(Number(text)) && String(Number(text)) === text, 'expected a whole number')
    .transform(Number)
    .pipe(z.number().min(min).max(max));
}

/** How long a path's step or a message of an issue may be: they quote the sender's own keys. */
const QUOTED = 100;
const short = (text: string) => (text.length > QUOTED ? `${text.slice(0, QUOTED)}…` : text).toWellFormed();

export function issue(place: Place, path: readonly PropertyKey[], message: string): Issue {
  return {
    in: place,
    path: path.map((step) => (typeof step === 'number' ? step : short(String(step)))),
    message: short(message),
  };
}

/** How deep a body may be nested. Deeper ones are no data, but an attempt at somebody's recursion. */
const MAX_DEPTH = 64;
const UNSTORABLE = 'text with U+0000 or with half a surrogate pair: no UTF-8 store can keep it';

/** What JSON can say and a store can't keep. A loop: no depth can exhaust the stack. @throws MalformedRequestError on what lies too deep */
export function* unstorable(place: Place, root: unknown): Generator<Issue> {
  const open: { value: unknown; path: readonly (string | number)[] }[] = [{ value: root, path: [] }];
  for (let each = open.pop(); each; each = open.pop()) {
    const { value, path } = each;
    if (typeof value === 'string' && !storable(value)) yield issue(place, path, UNSTORABLE);
    if (typeof value !== 'object' || value === null) continue;
    if (path.length >= MAX_DEPTH) {
      throw new MalformedRequestError(400, `The ${place} is nested deeper than ${MAX_DEPTH} levels.`);
    }
    const array = Array.isArray(value);
    for (const [key, inner] of Object.entries(value)) {
      if (!array && !storable(key)) yield issue(place, [...path, key], UNSTORABLE);
      if (typeof inner === 'string' ? !storable(inner) : typeof inner === 'object' && inner !== null) {
        open.push({ value: inner, path: [...path, array ? Number(key) : key] });
      }
    }
  }
}

const storable = (text: string) => text.isWellFormed() && !text.includes('\0');

/**
 * Text by name; a name that comes twice has both texts, in an array. The object has no prototype.
 * @throws MalformedRequestError on what is no UTF-8
 */
export function parseQuery(url: string): Readonly<Record<string, string | string[]>> {
  const values: Record<string, string | string[]> = Object.create(null);
  const start = url.indexOf('?');
  if (start === -1) return values;
  for (const pair of url.slice(start + 1).split('&')) {
    if (pair === '') continue;
    const [name = '', ...rest] = pair.split('=');
    const key = decode(name);
    const value = decode(rest.join('='));
    const before = values[key];
    if (Array.isArray(before)) before.push(value);
    else values[key] = before === undefined ? value : [before, value];
  }
  return values;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch (cause) {
    throw new MalformedRequestError(400, 'The query has a percent sequence that is no UTF-8.', { cause });
  }
}

/** JSON in UTF-8, and nothing else. Keys that would be a prototype are refused. */
export function readJsonOnly(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  const read = async (request: FastifyRequest, bytes: Buffer): Promise<unknown> => {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    parse(request, utf8(request, bytes), (cause, value) => {
      if (cause) reject(new MalformedRequestError(400, 'The body is no JSON that can be taken.', { cause }));
      else resolve(value);
    });
    return promise;
  };
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, read);
}

function utf8(request: FastifyRequest, bytes: Buffer): string {
  const charset = /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(request.headers['content-type'] ?? '')?.[1] ?? 'utf-8';
  if (!/^utf-?8$/i.test(charset)) throw new MalformedRequestError(415, 'Send JSON in UTF-8.');
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new MalformedRequestError(400, 'The body is no UTF-8.', { cause });
  }
}
