import type { Dispatcher } from 'undici';
import type { Failure } from './stats.ts';

export interface RequestOptions {
  /** Default GET. */
  readonly method?: Dispatcher.HttpMethod;
  /** The row of the report that it counts for; give one where the path has an id in it. Default: method and path without query. */
  readonly name?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A text or bytes as they are; anything else is sent as JSON. */
  readonly body?: unknown;
  /** For the whole answer, body included, from the moment of sending. Default: the plan's, 10 s. */
  readonly timeoutMs?: number;
  /** Whether the answer is right; it is awaited. A status of 400 or more is a failure before it is asked; throwing means no. */
  readonly check?: (answer: Answer) => unknown;
}

export interface Answer {
  readonly ok: boolean;
  /** 0 when there was no answer. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  readonly failure?: Failure;
}

/** The reason of an abort when the time is up. */
export const TIME_UP = new Error('The answer took longer than timeoutMs.');

/** The largest body that is read; a longer one is a failure of kind `network`. */
export const MAX_BODY = 16 * 2 ** 20;

const OURS = new Set(['EMFILE', 'ENFILE', 'EADDRNOTAVAIL', 'ENOBUFS', 'ENOMEM']);
const MISUSE = new Set(['UND_ERR_INVALID_ARG', 'UND_ERR_NOT_SUPPORTED', 'ERR_INVALID_ARG_TYPE']);

/**
 * What an error of undici or of the socket below says about the run. `generator`: this machine has run out of ports or
 * descriptors, of which the target knows nothing. `script`: no such request can be sent.
 */
export function failureOf(error: unknown): Failure {
  if (error === TIME_UP) return 'timeout';
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'ECONNREFUSED') return 'refused';
  if (code === 'ETIMEDOUT' || code === 'UND_ERR_CONNECT_TIMEOUT') return 'timeout';
  if (OURS.has(code)) return 'generator';
  return MISUSE.has(code) || error instanceof TypeError ? 'script' : 'network';
}

/** Sends one request and reads all of its answer; never rejects. */
export async function exchange(
  pool: Dispatcher,
  path: string,
  o: RequestOptions & { readonly timeoutMs: number },
  own: Readonly<Record<string, string>>,
  classify = failureOf,
): Promise<Answer> {
  const cut = new AbortController();
  const timer = setTimeout(() => cut.abort(TIME_UP), Math.min(o.timeoutMs, 2 ** 31 - 1) || 0);
  try {
    if (!path.startsWith('/') || !(o.timeoutMs > 0))
      throw new TypeError('A path begins with a slash, a timeout is above 0.');
    const { body, ...json } = bodyOf(o.body);
    const headers = merged(json, own, o.headers ?? {});
    const { method = 'GET' } = o;
    const answer = await pool.request({ path, method, headers, body, signal: cut.signal });
    const text = await answer.body.text();
    const whole = { status: answer.statusCode, headers: answer.headers, text };
    if (answer.statusCode >= 400) return { ...whole, ok: false, failure: 'status' };
    return (await isRight(o.check, { ...whole, ok: true }))
      ? { ...whole, ok: true }
      : { ...whole, ok: false, failure: 'assertion' };
  } catch (error) {
    return { ok: false, status: 0, headers: {}, text: '', failure: classify(error) };
  } finally {
    clearTimeout(timer);
  }
}

/** A header has one value, in whatever case its name is written; the last one counts. */
function merged(...all: Readonly<Record<string, string>>[]): Record<string, string> {
  return Object.fromEntries(all.flatMap(Object.entries).map(([name, value]) => [name.toLowerCase(), value]));
}

async function isRight(check: RequestOptions['check'], answer: Answer): Promise<boolean> {
  try {
    return (await check?.(answer)) !== false;
  } catch {
    return false;
  }
}

function bodyOf(body: unknown): { body: string | Uint8Array | null; 'content-type'?: string } {
  if (body === undefined) return { body: null };
  if (typeof body === 'string' || body instanceof Uint8Array) return { body };
  return { body: JSON.stringify(body), 'content-type': 'application/json' };
}
