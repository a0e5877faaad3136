import { createHash } from 'node:crypto';
import { InvalidArgumentError, PublicError } from './errors.ts';

/** What a client asks for, by its text or by its hash. */
export interface QueryRequest {
  readonly query?: string | null | undefined;
  /** `persistedQuery: { version: 1, sha256Hash }`, as Apollo's clients and others send it. */
  readonly extensions?: unknown;
}

/** The SHA-256 of a query's text, in hexadecimal: its name in the list. */
export const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');

/**
 * Only these queries, known when the clients were built: what isn't on the list is refused, as a hash or as a text. What runs
 * is the text on the list, never one that came. Apollo's automatic persisted queries (APQ) use the same request, and put
 * whatever text comes with a hash on their list: they save bytes, and refuse nothing.
 * @returns finds the text; throws a PublicError with HTTP 400, PERSISTED_QUERY_NOT_FOUND for a hash, PERSISTED_ONLY for a text
 * @throws InvalidArgumentError
 */
export function persisted(texts: Iterable<string>): (request: QueryRequest) => string {
  if (typeof texts === 'string') throw new InvalidArgumentError('The list is one text: give a list of texts.');
  const list = new Map([...texts].map((text) => [hashOf(text), text]));
  return ({ query, extensions }) => {
    const named = hashIn(extensions);
    const text = list.get(named ?? hashOf(typeof query === 'string' ? query : ''));
    if (text !== undefined) return text;
    throw named === undefined
      ? new PublicError('Only queries on the list are run: send the hash of one.', {
          code: 'PERSISTED_ONLY',
          status: 400,
        })
      : new PublicError('No query on the list has this hash.', { code: 'PERSISTED_QUERY_NOT_FOUND', status: 400 });
  };
}

function hashIn(extensions: unknown): string | undefined {
  const named = member(extensions, 'persistedQuery');
  if (named === undefined || named === null) return undefined;
  const hash = member(named, 'sha256Hash');
  return typeof hash === 'string' ? hash.toLowerCase() : '';
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
