import type { PoolClient } from 'pg';
import {
  type Answer,
  type BreakingChange,
  type Claim,
  type Contract,
  type Exchange,
  Keyset as GivenKeyset,
  IdempotencyStore as GivenStore,
  type Problem,
  type Work,
} from '../src/index.ts';

// Yours are the decisions; Fastify, SQL, schemas and generators are given, and re-exported here. The re-export brings no name into
// this file: import what you need from where the comments say. `Problem` is imported as a type: drop that `type` to make one.
// `h` in `pnpm lab learn rest-openapi` gives a hint.
export * from '../src/index.ts';

/**
 * Whatever was thrown, as what the client may see:
 * - a Problem as it is;
 * - what a schema has refused: 422 in the body, 400 elsewhere, with the `errors` of each field;
 * - another refusal of Fastify, with a `statusCode` below 500: that status, and its message;
 * - all else: a 500 whose detail is `SECRET`.
 *
 * Given in ../src/problem.ts: `SECRET`; `isFastifyError(error)`; of such a one `error.validation` is there when a schema has
 * refused, and `fieldErrorsOf(error)` has `{ place, errors }`, the place being `'body'` or another part of the
 * request; `new Problem(status, detail, { errors, cause })`.
 */
export function toProblem(_error: unknown): Problem {
  return todo('toProblem');
}

/**
 * Given: `once`, which begins a transaction, calls `perform`, and commits, or rolls back what has thrown; and
 * - `claim`: `{ principal, key, fingerprint }`, who asks, by which key, and a hash of what for;
 * - `this.tryLock(tx, claim)`: whether this transaction is the only one with this principal and key. Until it ends;
 * - `this.find(tx, claim)`: `{ fingerprint, answer }` of what was remembered, or undefined;
 * - `this.remember(tx, claim, answer)`.
 *
 * `inFlight()` and `usedBefore(claim.key)` of ../src/idempotency.ts make the problems 409 and 422.
 */
export class IdempotencyStore extends GivenStore {
  /** Does `work`, or gives the answer that was given before. */
  protected override perform(_tx: PoolClient, _claim: Claim, _work: Work): Promise<Answer> {
    return todo('perform');
  }
}

/**
 * Given: `page`, which asks for one row more than a page, so as to know whether there is another one; and `this.names`, the
 * columns that order the pages, quoted; `this.types`, their types, one a column; `this.direction`, `'asc'` or `'desc'`;
 * `this.mac(text, of)`, a text that nobody can make without the secret. `of` says which list it is.
 */
export class Keyset extends GivenKeyset {
  /** SQL: the rows that come after the one whose values, one a column, are the parameters from `$first` on. */
  protected override behind(_first: number): string {
    return todo('behind');
  }

  /** A cursor for where a page ends. */
  protected override seal(_position: readonly string[], _of: string): string {
    return todo('seal');
  }

  /** The position in a cursor. @throws what `badCursor()` of ../src/keyset.ts makes, unless `seal` has made it for this list */
  protected override open(_cursor: string, _of: string): string[] {
    return todo('open');
  }
}

/**
 * Refuses a change unless `header`, an If-Match, has the current version in it; `current` is its tag, quotes included. Given in
 * ../src/precondition.ts: `entityTags(header)`, which is `'*'` or a list of `{ weak, tag }`, and refuses what can't be read; and
 * the problems `preconditionRequired()` and `stale()`.
 */
export function ifMatch(_header: string | undefined, _current: string): void {
  todo('ifMatch');
}

/**
 * What breaks a client that was written by `old`. Given in ../src/diff.ts, the first in ../src/operations.ts:
 * - `operationsOf(contract)`: its operations; `nameOf(operation)` is `GET /books`;
 * - `requestOf(operation)`: one schema for all that a client sends. `answersOf(operation)`: a Map, status → one schema for what
 *   it gets;
 * - `notWithin([a, sub], [b, whole], answer)`: why something that the schema `sub` of contract `a` allows may be forbidden by
 *   `whole` of contract `b`, each as `{ where, what }`, `where` a pointer; nothing when all of it is allowed. `answer`: true when
 *   the schemas are an answer's, false when they are a request's.
 *
 * `where` is `GET /books` for an operation that `is gone`, `GET /books request /query/q` for a request, `GET /books 200` for a
 * status that `is gone`, `GET /books 200 /body/books` for an answer.
 */
export function diffContracts(_old: Contract, _now: Contract): BreakingChange[] {
  return todo('diffContracts');
}

/**
 * What is wrong with an answer, beginning with its status, or undefined. `exchange` has `operation`, `isAllowed`, `mismatch` and
 * `answer`, which is `{ status, headers, body }`, the body a text, `''` when there is none. In this order:
 * - `500: it failed` from 500 on; `404: undocumented` when `promised(operation, status)` is undefined;
 * - `200: takes what the contract forbids` below 300 when the request wasn't `isAllowed`;
 * - no content documented (`content`, a Map of media types, is empty): a body is wrong;
 * - `200: is text/html, which is undocumented`, or `of no type`, when `content` has no schema for its media type;
 * - what `mismatch(schema, value)` says, behind the status, if anything.
 *
 * Given: `promised` and `mediaTypeOf(header)` of ../src/operations.ts; `parsed(text)` of ../src/fuzz.ts, undefined for
 * what is no JSON.
 */
export function judge(_exchange: Exchange): string | undefined {
  return todo('judge');
}

function todo(name: string): never {
  throw new Error(`${name} is not written yet: its comment in attempt/index.ts is the task.`);
}
