import {
  type ExchangeOptions,
  type FieldErrors,
  Search as GivenSearch,
  Session as GivenSession,
  Submission as GivenSubmission,
  type Piece,
  type ProblemError,
} from '../src/index.ts';

// Yours is what stands between a page and an API. Given, in src/: the errors (an editor shows what their constructors take), the
// client, and both pages. The re-exports below bring no name into this file: import what you need from '../src/index.ts'. `h` in
// `pnpm lab learn frontend` gives a hint; `LAB_IMPL=attempt/index.ts pnpm --filter @labs/frontend run serve` shows the shop on
// your code.
export {
  type Api,
  ApiError,
  type ApiOptions,
  createApi,
  dataOf,
  type ExchangeOptions,
  type Fetch,
  type FieldErrors,
  ForeignAnswerError,
  type Found,
  IN_FLIGHT,
  jsonOf,
  nextOf,
  OfflineError,
  type Piece,
  type Problem,
  ProblemError,
  RateLimitedError,
  type Readable,
  readProblem,
  renewAt,
  retryAfterMs,
  type SearchOptions,
  type SearchState,
  type SessionOptions,
  SignedOutError,
  SlowServerError,
  type Store,
  type SubmissionOptions,
  type SubmissionState,
  signed,
  store,
  type Tokens,
} from '../src/index.ts';

/**
 * A field that is searched while one types. Given: `this.state`, whose `get()` is what is shown, and `this.patch({ … })`, which
 * changes it; `this.options.find(query, cursor, signal)`, which asks the server and may ignore the signal. `more` and `retry`
 * are given too: they call your `ask` with the signal that your `anew` returns.
 */
export class Search<Item> extends GivenSearch<Item> {
  /**
   * What the field says now: `query`, the status `searching`, and no `failure`. `ask` is called after a rest of `restMs` without
   * another call, and never if `stop` is.
   */
  override type(_query: string, _restMs: number = this.options.restMs ?? 150): void {
    throw todo('type');
  }

  /** Ends what is under way; a status `searching` becomes `idle`. What is asked later is answered again. */
  override stop(): void {
    throw todo('stop');
  }

  /** Ends the question before, and returns the signal of the next. */
  protected override anew(): AbortSignal {
    throw todo('anew');
  }

  /**
   * Asks for the page that begins at `cursor`; undefined is the first, and any other comes behind the items that are shown. The
   * status is `searching` already, whoever calls. Then it is `found` (with `of`, the query that was asked; `items`; `next`) or
   * `failed` (with `failure`; the items stay).
   */
  protected override async ask(cursor: string | undefined, _signal: AbortSignal): Promise<void> {
    this.cursor = cursor; // For `retry`.
    throw todo('ask');
  }
}

/**
 * A form that is sent once. Given: `this.current`, a store (`get`, `set`) of `{ status, result, failure }`;
 * `this.options.send(input, key, signal)`; `this.options.newKey`, which may be undefined (then: `crypto.randomUUID()`); and
 * `this.key`, undefined at first.
 */
export class Submission<Input, Result> extends GivenSubmission<Input, Result> {
  /** Calls `send`, unless it is under way. Resolves when it has ended. */
  override submit(_input: Input): Promise<void> {
    return Promise.reject(todo('submit'));
  }

  /** Hardening: aborts the signal of what is under way, whose end changes nothing any more, and sets the status `idle`. */
  override stop(): void {
    throw todo('stop');
  }

  /**
   * Status `sending`, then `sent` with `result`, or `failed` with `failure`. An ApiError says by `outcomeUnknown` whether the
   * server may have done it all the same; of any other error nobody knows. Until you write `stop`, any signal will do.
   */
  protected override send(_input: Input): Promise<void> {
    return Promise.reject(todo('send'));
  }
}

/** Given: `this.current`, the access token or undefined, `this.renew()`, which asks for a new one and keeps it, and `this.ended`. */
export class Session extends GivenSession {
  /**
   * The token to send instead of `refused`, which is undefined where none was sent. Hardening: once the session has ended it
   * rejects with a SignedOutError.
   */
  override renewed(_refused: string | undefined): Promise<string> {
    return Promise.reject(todo('renewed'));
  }
}

/**
 * Brings each error of `error.problem.errors` (`{ pointer, detail }`) to its field. `fields` has a JSON Pointer (RFC 6901) for
 * each name; the server writes it plain or as the fragment of a URI, `#/lines/0/quantity`, percent-encoded. Two for one field are
 * joined by a space. What belongs to no field is `rest`; without a list `rest` is the problem's detail, or else its title.
 */
export function fieldErrors<Name extends string>(
  _error: ProblemError,
  _fields: Readonly<Record<Name, string>>,
): FieldErrors {
  throw todo('fieldErrors');
}

/**
 * Cuts `text` at each place where `query`, without the spaces around it, stands in any case (Unicode's simple case folding, the
 * flags `iu`). No piece is empty; without a query the text is one piece, whatever it is.
 */
export function pieces(_text: string, _query: string): readonly Piece[] {
  throw todo('pieces');
}

/**
 * One request and its whole answer, which is read before this resolves: with a new Response, as a body can be read only once.
 * Rejects with
 * - the reason of `request.signal`, if that was aborted;
 * - SlowServerError, if the whole answer wasn't here within `timeoutMs` (default 8000);
 * - OfflineError, if `fetch` (default: the platform's) or reading the body failed otherwise;
 * - RateLimitedError for a 429;
 * - ProblemError for any other status that is not ok, if the body is JSON (`application/json` or `…+json`), or the status 401;
 * - ForeignAnswerError for any other, and for an answer that is ok and neither empty nor JSON.
 *
 * Given: `retryAfterMs(headers)`; `jsonOf(text)`, which is undefined for what is no JSON; and `readProblem(value)`, which makes a
 * problem of any value, undefined too. Hardening: the answer has the status and the headers that came, but no content-length and
 * no content-encoding.
 */
export function exchange(_request: Request, _o: ExchangeOptions = {}): Promise<Response> {
  return Promise.reject(todo('exchange'));
}

function todo(name: string): Error {
  return new Error(`${name} is not written yet: its comment in attempt/index.ts is the task.`);
}
