import { ForeignAnswerError, OfflineError, ProblemError, RateLimitedError, SlowServerError } from './errors.ts';
import { readProblem } from './problem.ts';

export type Fetch = (request: Request) => Promise<Response>;

export interface ExchangeOptions {
  /** Milliseconds until the whole answer must be here, its body too. Default 8000. */
  readonly timeoutMs?: number;
  /** Default: the platform's. */
  readonly fetch?: Fetch;
}

/**
 * One request and its whole answer. `fetch` resolves as soon as the head is here, whatever its status; this resolves with
 * an answer that can be read to its end, and whose JSON is JSON.
 *
 * @throws ProblemError, RateLimitedError, SlowServerError, OfflineError, ForeignAnswerError; or the reason of the request's
 * own signal. A 401 is a ProblemError like any other: what it means is the caller's to know.
 */
export async function exchange(request: Request, o: ExchangeOptions = {}): Promise<Response> {
  const { response, text } = await wholeAnswer(request, o);
  const { status } = response;
  const type = response.headers.get('content-type');
  if (status === 429) throw new RateLimitedError(retryAfterMs(response.headers));
  const json = type !== null && /^application\/([\w.+-]+\+)?json\b/i.test(type) ? jsonOf(text) : undefined;
  if (!response.ok) {
    const problem = json !== undefined || status === 401;
    throw problem ? new ProblemError(status, readProblem(json)) : new ForeignAnswerError(status, type);
  }
  if (text !== '' && json === undefined) throw new ForeignAnswerError(status, type);
  const headers = new Headers(response.headers);
  // They are of the body as it came, packed perhaps.
  headers.delete('content-length');
  headers.delete('content-encoding');
  return new Response(text === '' ? null : text, { status, headers });
}

async function wholeAnswer(
  request: Request,
  { timeoutMs = 8000, fetch = (it) => globalThis.fetch(it) }: ExchangeOptions,
) {
  // By hand: what AbortSignal.any and AbortSignal.timeout make may be collected while it is waited for, and then never aborts.
  const own = new AbortController();
  const sent = new Request(request, { signal: own.signal });
  const { promise: ended, reject } = Promise.withResolvers<never>();
  const end = (reason: unknown) => {
    own.abort(reason);
    reject(reason);
  };
  const leave = () => end(request.signal.reason);
  const timer = setTimeout(() => end(new SlowServerError(timeoutMs)), timeoutMs);
  if (request.signal.aborted) leave();
  request.signal.addEventListener('abort', leave, { once: true });
  const answered = async () => {
    const response = await fetch(sent);
    return { response, text: await response.text() };
  };
  try {
    return await Promise.race([answered(), ended]);
  } catch (error) {
    if (own.signal.aborted) throw own.signal.reason;
    throw new OfflineError(error);
  } finally {
    clearTimeout(timer);
    request.signal.removeEventListener('abort', leave);
  }
}

/** What a text is as JSON; undefined where it is none. */
export function jsonOf(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch {
    return undefined;
  }
}

/** Seconds, or a date (RFC 9110, section 10.2.3). The server's clock says how far away the date is, where it tells it. */
export function retryAfterMs(headers: Headers): number | undefined {
  const value = headers.get('retry-after') ?? '';
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  const at = /^[A-Z][a-z]+, .* GMT$/.test(value) ? Date.parse(value) : Number.NaN;
  const now = Date.parse(headers.get('date') ?? '');
  return Number.isNaN(at) ? undefined : Math.max(0, at - (Number.isNaN(now) ? Date.now() : now));
}
