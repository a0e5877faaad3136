import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { outcome, until } from '@shared/testkit';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { z } from 'zod';
import { HttpError, provide, route, ShuttingDownError, StillAtWorkError, stream } from '#lab';
import { door, get, keepAlive, open, reader } from './counter.ts';

const Line = z.object({ text: z.string() });
const kilobytes = 64;
const text = 'x'.repeat(1024 * kilobytes);

/** A stream of `count` long lines, and how far it has got. */
const source = (count: number, deadlineMs = 5000) => {
  const state = { produced: 0, ended: '' };
  const listing = stream({
    method: 'GET',
    url: '/list',
    response: Line,
    deadlineMs,
    async *handler() {
      try {
        for (; state.produced < count; state.produced++) yield { text };
        state.ended = 'at its end';
      } finally {
        state.ended ||= 'early';
      }
    },
  });
  return { state, listing };
};

/** A request that is at work until its door is opened. */
const working = (url = '/work') => {
  const { opened, open: finish } = door();
  const state = { begun: false, reason: undefined as unknown };
  const work = route({
    method: 'GET',
    url,
    response: z.string(),
    handler: async ({ signal }) => {
      state.begun = true;
      signal.addEventListener('abort', () => {
        state.reason = signal.reason;
      });
      await opened;
      return 'done';
    },
  });
  return { work, finish, state, begun: () => until(() => state.begun, { timeoutMs: 1000 }) };
};
const hello = route({ method: 'GET', url: '/', response: z.string(), handler: async () => 'hello' });

describe('from the first byte to the last', () => {
  // ── core ──

  test('a slow reader holds the source back and misses nothing; one that goes ends it', async () => {
    const { state, listing } = source(300);
    const short = stream({
      method: 'GET',
      url: '/short',
      response: Line,
      async *handler() {
        yield { text: 'aspirin' };
      },
    });
    const { url } = open({ routes: [listing, short] });
    const base = await url();
    expect(await get(`${base}/short`, keepAlive()), 'a list of one line').toMatchObject({
      status: 200,
      text: '{"text":"aspirin"}\n',
    });
    const slow = reader(base, '/list');
    await until(() => state.produced > 0, { timeoutMs: 1000, what: 'the first line' });
    let before = -1;
    await until(
      () => {
        const still = before === state.produced;
        before = state.produced;
        return still;
      },
      { intervalMs: 50 },
    );
    expect(
      state.produced,
      `of 300 lines of ${kilobytes} KB, taken from the source for a reader that reads nothing`,
    ).toBeLessThan(240);
    slow.read();
    await until(slow.whole, { timeoutMs: 4000, what: 'the end of the stream' });
    expect([slow.text().match(/\{"text"/g)?.length, state.ended], 'lines read').toEqual([300, 'at its end']);
    state.produced = 0;
    state.ended = '';
    const leaving = reader(base, '/list');
    await until(() => state.produced > 0, { timeoutMs: 1000, what: 'the first line' });
    leaving.socket.destroy();
    await until(() => state.ended, { timeoutMs: 1000, what: 'the source to end when its reader has gone' });
    expect(state.ended).toBe('early');
  });

  test('a stop loses no request: neither one at work nor one under way on an open connection', async () => {
    const { work, finish, begun } = working();
    const closed: string[] = [];
    const closing = [() => closed.push('pool'), () => closed.push('queue')];
    const { api, url } = open({ routes: [work, hello], closing, drain: { idleMs: 3000, limitMs: 3000 } });
    onTestFinished(finish);
    const base = await url();
    const agent = keepAlive();
    expect(await get(base, agent)).toMatchObject({ status: 200 });
    const atWork = outcome(get(`${base}/work`, keepAlive()));
    await begun();
    const stopped = outcome(api.close(), 3000);
    await until(() => !api.app.server.listening, { timeoutMs: 1000, what: 'the end of listening' });
    const { value: next, error } = await outcome(get(base, agent));
    expect(
      error ?? next,
      'what a request gets that comes on an open connection after the stop has begun',
    ).toMatchObject({
      status: 200,
      connection: 'close',
      reused: true,
    });
    expect((await outcome(get(base, keepAlive()))).error, 'a new connection').toMatchObject({ code: 'ECONNREFUSED' });
    expect(closed, 'closed while a request is at work').toEqual([]);
    finish();
    const { value, error: lost } = await atWork;
    expect(lost ?? value, 'what the request at work gets').toMatchObject({ status: 200, text: '"done"' });
    expect([(await stopped).error, closed], 'closed in reverse').toEqual([undefined, ['queue', 'pool']]);
  });

  // ── hardening ──

  test('work that outlasts the limit is cut off with a 503, and close() goes on without who ignores it', async () => {
    const { work, begun, state, finish } = working();
    onTestFinished(finish);
    const closed: string[] = [];
    const hanging = () => new Promise<never>(() => {});
    const broken = () => Promise.reject(new Error('no answer'));
    const closing = [() => closed.push('first'), hanging, broken];
    const { api, url, failed } = open({ routes: [work], closing, drain: { idleMs: 5, limitMs: 20, cutMs: 50 } });
    const answer = outcome(get(`${await url()}/work`, keepAlive()));
    await begun();
    await api.close();
    expect((await answer).value).toMatchObject({
      status: 503,
      connection: 'close',
      text: expect.stringContaining('SHUTTING_DOWN'),
    });
    expect([state.reason, closed]).toEqual([expect.any(ShuttingDownError), ['first']]);
    expect(failed.map(String)).toEqual([
      expect.stringContaining('ShuttingDownError'),
      expect.stringContaining('1 requests are not done'),
      'Error: no answer',
      expect.stringContaining('hanging of closing is not done'),
    ]);
    expect(failed[1]).toBeInstanceOf(StillAtWorkError);
  });

  test('a connection that has never asked, or has asked for half, holds up no stop', async () => {
    const { api, url } = open({ routes: [hello] });
    const { port } = new URL(await url());
    const sockets = ['', 'GET / HT'].map((bytes) => {
      const socket = connect(Number(port), '127.0.0.1');
      socket.on('error', () => {}).write(bytes);
      onTestFinished(() => void socket.destroy());
      return socket;
    });
    await until(() => sockets.every(({ readyState }) => readyState === 'open'));
    expect((await outcome(api.close())).error).toBe(undefined);
  });

  test('a client that goes in the middle of its body is no failure of ours', async () => {
    const take = route({
      method: 'POST',
      url: '/',
      body: z.any(),
      response: z.any(),
      handler: async ({ body }) => body,
    });
    const { api, url, failed } = open({ routes: [take] });
    const { port } = new URL(await url());
    const socket = connect(Number(port), '127.0.0.1');
    const asked = once(api.app.server, 'request');
    socket.write('POST / HTTP/1.1\r\nhost: counter\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"a"');
    await asked;
    socket.destroy();
    await api.close();
    expect(failed).toEqual([]);
  });

  test('a connection with two requests at once is at work until both have their answers', async () => {
    const { work, begun, finish } = working();
    const { api, url } = open({ routes: [hello, work], drain: { idleMs: 5, limitMs: 3000 } });
    onTestFinished(finish);
    const both = reader(await url(), '/');
    both.read();
    both.socket.write('GET /work HTTP/1.1\r\nhost: counter\r\n\r\n');
    await begun();
    await until(() => both.text().includes('"hello"'), { timeoutMs: 1000 });
    const stopped = outcome(api.close(), 3000);
    await until(() => !api.app.server.listening, { timeoutMs: 1000 });
    await delay(30);
    finish();
    expect((await stopped).error).toBe(undefined);
    await until(both.ended, { timeoutMs: 1000 });
    expect(both.text()).toContain('"done"');
  });

  test('a stop that comes before the start is over leaves nothing that listens', async () => {
    const { api } = open({ routes: [hello] });
    await api.close();
    await outcome(api.app.listen({ host: 'localhost', port: 0 }));
    await until(() => !api.app.server.listening, { timeoutMs: 1000, what: 'the late server to be closed' });
    const { api: other } = open({ routes: [hello] });
    await other.app.listen({ host: 'localhost', port: 0 });
    expect(other.app.addresses(), 'one server, whose connections are counted').toHaveLength(1);
  });

  test('a stop may take longer than the ten seconds that Fastify gives a plugin', async () => {
    const { work, begun, finish } = working();
    onTestFinished(finish);
    const { api, url } = open({ routes: [work], drain: { idleMs: 5, limitMs: 20_000 } });
    const answer = outcome(get(`${await url()}/work`, keepAlive()));
    await begun();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const stopped = api.close();
    vi.advanceTimersByTime(15_000);
    vi.useRealTimers();
    finish();
    expect((await outcome(stopped)).error).toBe(undefined);
    expect((await answer).value).toMatchObject({ status: 200 });
  });

  test('close() may be called twice, and without ever having listened', async () => {
    const { api } = open({ routes: [hello] });
    await Promise.all([api.close(), api.close()]);
    await api.close();
    const { api: other, url } = open({ routes: [hello] });
    await url();
    await Promise.all([other.close(), other[Symbol.asyncDispose]()]);
  });

  test('a stream that fails halfway is cut off, never ended; one that fails before its first line has a status', async () => {
    const failing = (url: string, after: number) =>
      stream({
        method: 'GET',
        url,
        response: Line,
        async *handler() {
          for (let n = 0; n < after; n++) yield { text: `${n}` };
          throw new HttpError(410, 'GONE', 'The list is gone.');
        },
      });
    const { opened, open: goOn } = door();
    const misfit = stream({
      method: 'GET',
      url: '/misfit',
      response: Line,
      async *handler() {
        yield { text: 'fits', secret: 's' };
        await opened;
        yield JSON.parse('{"text":7}');
      },
    });
    const { url, failed } = open({ routes: [failing('/two', 2), failing('/none', 0), misfit] });
    const base = await url();
    expect((await outcome(get(`${base}/two`, keepAlive()))).error).toMatchObject({ code: 'ECONNRESET' });
    expect(await get(`${base}/none`, keepAlive())).toMatchObject({ status: 410 });
    expect(failed).toEqual([]);
    const cut = reader(base, '/misfit');
    cut.read();
    await until(() => cut.text().includes('{"text":"fits"}\n'));
    goOn();
    await until(cut.ended, { timeoutMs: 1000 });
    expect(cut.text()).not.toContain('\r\n0\r\n');
    expect(failed.map(String)).toEqual([expect.stringContaining('ResponseInvalidError')]);
  });

  test('a stream holds its dependencies until its end, and ends cleanly once they are taken back', async () => {
    const log: string[] = [];
    const cursor = (commit: () => void) =>
      provide('cursor', async function* () {
        yield 2;
        log.push('committed');
        commit();
      });
    const rows = (url: string, commit: () => void) =>
      stream({
        method: 'GET',
        url,
        response: Line,
        deps: { cursor: cursor(commit) },
        async *handler({ deps }) {
          for (let n = 0; n < deps.cursor; n++) {
            yield { text: `${n}` };
            log.push(`line ${n}`);
          }
        },
      });
    const refuse = () => {
      throw new Error('COMMIT is refused');
    };
    const empty = stream({ method: 'GET', url: '/empty', response: Line, async *handler() {} });
    const nothing = stream({
      method: 'GET',
      url: '/nothing',
      response: z.undefined(),
      async *handler() {
        yield undefined;
      },
    });
    const { url, failed } = open({ routes: [rows('/good', () => {}), rows('/bad', refuse), empty, nothing] });
    const base = await url();
    const agent = keepAlive();
    expect(await get(`${base}/good`, agent)).toMatchObject({ status: 200, text: '{"text":"0"}\n{"text":"1"}\n' });
    expect(log).toEqual(['line 0', 'line 1', 'committed']);
    expect(await get(`${base}/empty`, agent)).toMatchObject({ status: 200, text: '', reused: true });
    expect((await outcome(get(`${base}/bad`, agent))).error).toMatchObject({ code: 'ECONNRESET' });
    expect(failed.map(String)).toEqual(['Error: COMMIT is refused']);
    expect(await get(`${base}/nothing`, keepAlive()), 'no line that is no JSON').toMatchObject({ status: 500 });
  });

  test('a reader that stalls is cut off at the deadline; one that is slow, but moves, is not', async () => {
    const { state, listing } = source(600, 100);
    const ticking = stream({
      method: 'GET',
      url: '/ticks',
      response: Line,
      deadlineMs: 400,
      async *handler() {
        for (let n = 0; n < 12; n++) {
          await delay(50);
          yield { text: `${n}` };
        }
      },
    });
    const { url, failed } = open({ routes: [listing, ticking] });
    const base = await url();
    const ticks = get(`${base}/ticks`, keepAlive());
    const stalled = reader(base, '/list');
    await until(() => state.ended, { timeoutMs: 1000 });
    stalled.read();
    await until(stalled.ended, { timeoutMs: 1000 });
    expect(state.ended).toBe('early');
    expect(failed.map(String)).toEqual([expect.stringContaining('DeadlineExceededError')]);
    expect((await ticks).text.split('\n')).toHaveLength(13);
  });

  test('a stream during a stop is finished, and its connection is not used again', async () => {
    const { opened, open: finish } = door();
    const tail = stream({
      method: 'GET',
      url: '/',
      response: Line,
      async *handler() {
        yield { text: 'first' };
        await opened;
        yield { text: 'last' };
      },
    });
    const { api, url } = open({ routes: [tail] });
    const reading = reader(await url(), '/');
    reading.read();
    await until(() => reading.text().includes('first'), { timeoutMs: 1000 });
    const stopped = outcome(api.close());
    await until(() => !api.app.server.listening, { timeoutMs: 1000 });
    finish();
    expect((await stopped).error).toBe(undefined);
    await until(reading.ended, { timeoutMs: 1000 });
    expect(reading.text()).toMatch(/last[\s\S]*\r\n0\r\n\r\n$/);
  });

  test('a call that is over leaves nothing behind: no timer, no listener, no error that comes late', async () => {
    const signals: AbortSignal[] = [];
    const late = new Error('the disk is full');
    const { opened, open: finish } = door();
    const quick = route({
      method: 'GET',
      url: '/',
      response: z.string(),
      handler: async ({ signal }) => `${signals.push(signal)}`,
    });
    const slow = route({
      method: 'GET',
      url: '/slow',
      response: z.string(),
      deadlineMs: 20,
      handler: async () => {
        await opened;
        throw late;
      },
    });
    const { get: ask, failed } = open({ routes: [quick, slow] });
    const timers = () => process.getActiveResourcesInfo().filter((each) => each === 'Timeout').length;
    const before = timers();
    for (let n = 0; n < 20; n++) await ask('/');
    expect(timers() - before, 'timers of twenty requests').toBeLessThan(20);
    expect(signals.map(({ aborted }) => aborted)).not.toContain(true);
    expect((await ask('/slow')).status).toBe(504);
    finish();
    await until(() => failed.includes(late), { timeoutMs: 1000, what: 'onError to be told of the late error' });
  });
});
