import createClient, { type Client } from 'openapi-fetch';
import type { paths } from './contract.gen.ts';
import { ProblemError, SignedOutError } from './errors.ts';
import { type ExchangeOptions, exchange, type Fetch, jsonOf } from './exchange.ts';
import type { Tokens } from './session.ts';

export type Api = Client<paths>;

export interface ApiOptions extends ExchangeOptions {
  /** Where the API is: `https://shop.example`, or `location.origin`. */
  readonly baseUrl: string;
  readonly session: Tokens;
}

/**
 * A client whose calls are those of the contract: `api.GET('/books', { params: { query: { q } } })`. What the contract
 * doesn't have doesn't compile. A call rejects with an ApiError, so that `data` is always there.
 */
export function createApi({ baseUrl, session, ...o }: ApiOptions): Api {
  return createClient<paths>({ baseUrl, fetch: signed(session, o) });
}

/**
 * Sends the session's token, and where it is refused another: the one that has taken its place meanwhile, or the renewed one;
 * three in all. A renewed one that is refused ends the session, unless another has its place by then. Without a token it sends
 * none: some of an API is for everybody.
 * @throws SignedOutError, and what `exchange` throws
 */
export function signed(session: Tokens, o: ExchangeOptions = {}): Fetch {
  return async (request) => {
    const send = (token: string | undefined) => {
      // Its body can be read once: what is sent is a copy.
      const copy = request.clone();
      if (token !== undefined) copy.headers.set('authorization', `Bearer ${token}`);
      return exchange(copy, o);
    };
    let { token } = session;
    let renewed = false;
    for (let sent = 1; ; sent++) {
      try {
        return await send(token);
      } catch (error) {
        if (!isRefusedToken(error)) throw error;
        const isLast = session.token === token;
        if (isLast && renewed) {
          session.end();
          throw new SignedOutError();
        }
        if (sent === 3) throw error;
        renewed = isLast;
      }
      // The renewal is for all who wait for it: who goes away leaves it be.
      token = await unlessAborted(session.renewed(token), request.signal);
    }
  };
}

const isRefusedToken = (error: unknown): boolean => error instanceof ProblemError && error.status === 401;

/** The outcome of `promise`, or the reason of `signal` as soon as it aborts, even if the promise never settles. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** A POST to `url` with the browser's cookies, that answers `{ "token": … }`: a `renew` for a Session. */
export function renewAt(url: string, o: ExchangeOptions = {}): () => Promise<string> {
  return async () => {
    try {
      const response = await exchange(new Request(url, { method: 'POST' }), o);
      const body = jsonOf(await response.text());
      if (typeof body === 'object' && body !== null && 'token' in body && isToken(body.token)) return body.token;
    } catch (error) {
      throw isRefusedToken(error) ? new SignedOutError() : error;
    }
    throw new TypeError(`${url} has not answered { "token": … }: it must be the API's own.`);
  };
}

/** What a header can carry as it is: visible ASCII, and spaces inside of it. */
const isToken = (value: unknown): value is string => typeof value === 'string' && /^[!-~]([ -~]*[!-~])?$/.test(value);

/** The data of a call's answer. A call whose answer has none (204) is not for it. */
export async function dataOf<Data>(call: Promise<{ readonly data?: Data }>): Promise<Exclude<Data, undefined>> {
  const { data } = await call;
  if (!isThere(data)) throw new TypeError('The answer has no content, and the contract says that it has.');
  return data;
}

const isThere = <Data>(data: Data): data is Exclude<Data, undefined> => data !== undefined;
