import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { DeadlineError, outcome, part, until } from '@shared/testkit';
import { afterAll, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  type ApiError,
  createApi,
  dataOf,
  exchange,
  ForeignAnswerError,
  OfflineError,
  ProblemError,
  RateLimitedError,
  renewAt,
  Session,
  SignedOutError,
  SlowServerError,
} from '#lab';
import { type Answer, type Fault, Front, problem } from './front.ts';

const { Shop }: typeof import('../src/shop.ts') = await import(part('shop.ts'));

const json = (value: unknown): Answer => ({
  status: 200,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(value),
});
const html = (status: number): Answer => ({
  status,
  headers: { 'content-type': 'text/html' },
  body: '<h1>Sign in to the hotel</h1>',
});

describe('over a wire', async () => {
  const front = await Front.open(async ({ url, body }) => json({ url, body, items: [], cursor: null }));
  afterAll(() => front[Symbol.asyncDispose]());
  beforeEach(() => front.reset());

  /** What becomes of one request that this befalls. */
  const befallen = async (fault: Fault, timeoutMs = 2000) => {
    front.fault = () => fault;
    const headers = { authorization: `Bearer ${front.token}` };
    const { value, error } = await outcome(
      exchange(new Request(`${front.url}/books`, { headers }), { timeoutMs }),
      1000,
    );
    return value === undefined ? error : value;
  };

  // ── core ──

  test('each way in which a call fails is told apart, and none hangs', async () => {
    const seen = async (fault: Fault, timeoutMs?: number) => {
      // One that hangs is said at its fault.
      const { value, error } = await outcome(befallen(fault, timeoutMs));
      return error instanceof DeadlineError ? error.message : value?.constructor;
    };
    expect(await seen({ silent: 'before' }, 40), 'no answer').toBe(SlowServerError);
    const [fetched, heads] = [vi.spyOn(globalThis, 'fetch'), () => fetched.mock.settledResults];
    // Its head has to have come in time.
    for (let patience = 80; !heads().some(({ type }) => type === 'fulfilled'); patience *= 2) {
      expect(await seen({ silent: 'behind' }, patience), 'half an answer, and then nothing').toBe(SlowServerError);
    }
    fetched.mockRestore();
    expect(await seen({ cut: 'before' }), 'a connection that breaks').toBe(OfflineError);
    expect(await seen({ cut: 'behind' }), 'one that breaks in the middle of the answer').toBe(OfflineError);
    expect(await seen({ answer: problem(422, 'no') }), 'a refusal').toBe(ProblemError);
    expect(await seen({ answer: problem(429, 'slowly') }), 'too many requests').toBe(RateLimitedError);
    expect(await seen({ answer: html(502) }), 'a gateway').toBe(ForeignAnswerError);
    expect(await seen({ answer: html(200) }), 'the login page of a hotel').toBe(ForeignAnswerError);
    expect(await seen({ answer: { ...json(1), body: '{"items":' } }), 'half a JSON').toBe(ForeignAnswerError);
    expect(await seen({}), 'an answer').toBe(Response);
  });

  // ── hardening ──

  test('how long to wait is read as seconds or as a date by the clock of the server; all else is unknown', async () => {
    const waits = async (headers: Record<string, string>) => {
      const error = await befallen({ answer: problem(429, 'slowly', {}, headers) });
      return error instanceof RateLimitedError ? error.retryAfterMs : error;
    };
    const date = 'Sun, 06 Nov 1994 08:49:37 GMT';
    expect(await waits({ 'retry-after': '2' })).toBe(2000);
    expect(await waits({ 'retry-after': 'Sun, 06 Nov 1994 08:49:40 GMT', date })).toBe(3000);
    expect(await waits({ 'retry-after': 'Sun, 06 Nov 1994 08:49:30 GMT', date })).toBe(0);
    for (const value of ['-1', '1e3', '0x10', 'soon', '', '99999999999']) {
      expect(await waits({ 'retry-after': value }), value).toBe(undefined);
    }
    expect(await waits({})).toBe(undefined);
    expect(String(new RateLimitedError(1500))).toContain('2 s');
  });

  test('a failure says whether the server may have done it all the same', async () => {
    const unknown = async (fault: Fault) =>
      ((await befallen(fault, fault.silent ? 60 : undefined)) as ApiError).outcomeUnknown;
    for (const fault of [
      { silent: 'before' },
      { cut: 'behind' },
      { answer: html(502) },
      { answer: problem(500, '') },
    ]) {
      expect(await unknown(fault as Fault), JSON.stringify(fault)).toBe(true);
    }
    for (const answer of [problem(422, ''), problem(429, ''), problem(409, 'sold out')]) {
      expect(await unknown({ answer }), answer.body).toBe(false);
    }
    const inFlight = problem(409, '', { type: 'tag:bookshop.example,2026:in-flight' });
    expect(await unknown({ answer: inFlight }), 'still being worked on').toBe(true);
  });

  test('a port that nobody listens at, and a reason of the caller’s own', async () => {
    const gone = await Front.open(async () => json(1));
    const { url } = gone;
    await gone[Symbol.asyncDispose]();
    expect((await outcome(exchange(new Request(url)))).error).toBeInstanceOf(OfflineError);
    front.fault = () => ({ silent: 'behind' });
    const away = new AbortController();
    const call = outcome(exchange(new Request(`${front.url}/books`, { signal: away.signal })));
    await until(() => front.asked.length === 1, { what: 'the request to arrive' });
    away.abort(new Error('left the page'));
    expect((await call).error).toMatchObject({ message: 'left the page' });
    await until(() => front.asked[0]?.left, { what: 'the server to see that the client has gone' });
  });

  test('what is sent again behind a renewal is what was sent: the same body, the same key', async () => {
    front.expire();
    const session = new Session({ token: 'old', renew: async () => front.token });
    const api = createApi({ baseUrl: front.url, session });
    const body = { lines: [{ isbn: '9780000000002', quantity: 2 }], deliverTo: '王', note: '' };
    await dataOf(api.POST('/orders', { params: { header: { 'idempotency-key': 'k' } }, body }));
    expect(front.asked.map((it) => [it.key, JSON.parse(it.body)])).toEqual([
      ['k', body],
      ['k', body],
    ]);
  });

  test('the patience ends though memory is collected meanwhile, and though fetch heeds no signal', async () => {
    setFlagsFromString('--expose-gc');
    const collect: unknown = runInNewContext('gc');
    const timer = setInterval(() => typeof collect === 'function' && collect(), 20);
    expect(await befallen({ silent: 'behind' }, 200)).toBeInstanceOf(SlowServerError);
    clearInterval(timer);
    const deaf = exchange(new Request(front.url), { timeoutMs: 20, fetch: () => new Promise(() => {}) });
    expect((await outcome(deaf)).error).toBeInstanceOf(SlowServerError);
  });

  test('half a surrogate pair is searched for as what a URL can carry', async () => {
    const shop = new Shop(createApi({ baseUrl: front.url, session: new Session({ renew: async () => front.token }) }));
    shop.search.type(' dune \ud83d', 0);
    await until(() => shop.search.state.get().status !== 'searching', { what: 'the answer' });
    expect(front.asked.map(({ url }) => url)).toEqual(['/books?q=dune%20%EF%BF%BD']);
  });

  test('what renews tells a refusal from a fault, and takes no other answer for a token', async () => {
    const told = async (answer: Answer) => {
      const fetch = async () => new Response(answer.body, answer);
      return (await outcome(renewAt(`${front.url}/session/renew`, { fetch })())).error;
    };
    expect(await told(problem(401, 'used before'))).toBeInstanceOf(SignedOutError);
    expect(await told({ ...html(401) })).toBeInstanceOf(SignedOutError);
    expect(await told(problem(503, 'later'))).toBeInstanceOf(ProblemError);
    expect(await told(html(200))).toBeInstanceOf(ForeignAnswerError);
    for (const value of [{}, { token: 7 }, null, 'token', { token: '' }, { token: 'a\nb' }, { token: '书' }]) {
      expect(await told(json(value)), JSON.stringify(value)).toBeInstanceOf(TypeError);
    }
    expect(await told({ ...json(1), body: '' }), 'an empty answer').toBeInstanceOf(TypeError);
    expect(await told(json({ token: 'new' }))).toBe(undefined);
  });

  test('an answer without content is none, and one that was packed is read', async () => {
    const empty = { status: 204, headers: {}, body: '' };
    const response = await befallen({ answer: empty });
    expect(response).toMatchObject({ status: 204, body: null });
    expect((await outcome(dataOf(Promise.resolve({})))).error).toBeInstanceOf(TypeError);
    const headers = { 'content-type': 'application/vnd.shop+json; charset=utf-8', 'content-encoding': 'gzip' };
    const fetch = async () => new Response('{"a":1}', { headers });
    const read = await exchange(new Request(front.url), { fetch });
    expect([await read.json(), read.headers.has('content-encoding')]).toEqual([{ a: 1 }, false]);
  });
});
