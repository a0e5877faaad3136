import { once } from 'node:events';
import { Agent, createServer, get, type RequestListener, type Server } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { outcome, until } from '@shared/testkit';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Drain, type DrainOptions, healthcheck, InvalidDrainOptionError } from '#lab';
import { contain, whyNoNamespace } from './container.ts';
import { ask, customers } from './customers.ts';

const QUIET = { signals: [] } satisfies DrainOptions;
const noNamespace = await whyNoNamespace();

/** A shop that answers when it is told to. */
async function open(options: DrainOptions = {}, listener?: RequestListener) {
  const waiting: (() => void)[] = [];
  const server = createServer(
    listener ??
      ((request, response) => {
        // Its first half at once: the headers are out.
        if (request.url === '/begun') response.write('half ');
        if (request.url === '/now') response.end('at once');
        else waiting.push(() => response.end('a yogurt'));
      }),
  );
  const drain = new Drain(server, { ...QUIET, ...options });
  onTestFinished(async () => {
    drain[Symbol.dispose]();
    server.closeAllConnections();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = urlOf(server);
  return {
    drain,
    server,
    url,
    /** Answers all who wait. */
    answer: () => waiting.splice(0).forEach((each) => void each()),
    arrived: (count: number) => until(() => waiting.length >= count, { what: `${count} requests in flight` }),
  };
}

function urlOf(server: Server): string {
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
}

/** Body and headers, or the error's code. */
function fetched(
  url: string,
  agent: Agent | false = false,
): Promise<{ body: string; connection?: string | undefined }> {
  return new Promise((resolve) => {
    const failed = (error: Error) => resolve({ body: 'code' in error ? String(error.code) : error.message });
    get(url, { agent }, (response) => {
      let body = '';
      response.on('data', (chunk) => {
        body += chunk;
      });
      response.on('error', failed);
      response.on('end', () => resolve({ body, connection: response.headers.connection }));
    }).on('error', failed);
  });
}

function keptAgent(): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  return agent;
}

const settled = async (promise: Promise<unknown>, ms: number) =>
  Promise.race([promise.then(() => true), delay(ms, false)]);

describe('a server that is told to stop', () => {
  test('a request in flight gets its whole answer, and then the server has stopped', async () => {
    const shop = await open();
    const answers = [fetched(`${shop.url}/slow`), fetched(`${shop.url}/begun`)];
    await shop.arrived(2);
    const drained = shop.drain.drain('closing time');
    expect(await settled(drained, 40), 'it says that it has stopped while two wait for their answers').toBe(false);
    shop.answer();
    expect((await Promise.all(answers)).map(({ body }) => body)).toEqual(['a yogurt', 'half a yogurt']);
    expect(await drained).toMatchObject({ reason: 'closing time', finished: 2, cut: 0 });
    expect(await fetched(shop.url)).toMatchObject({ body: 'ECONNREFUSED' });
  });

  test('it says that it is not ready before it refuses anybody, and answers until then', async () => {
    const shop = await open({ lameDuckMs: 400, graceMs: 2_000 });
    expect(shop.drain.ready).toBe(true);
    const drained = shop.drain.drain();
    expect(shop.drain.ready, 'ready while it stops').toBe(false);
    expect(shop.drain.signal.aborted, 'nobody else was told').toBe(true);
    expect((await fetched(`${shop.url}/now`)).body, 'a request while balancers still come').toBe('at once');
    const { took } = await drained;
    expect(took, 'balancers had no time to see it').toBeGreaterThanOrEqual(399);
    expect(await fetched(`${shop.url}/now`)).toMatchObject({ body: 'ECONNREFUSED' });
  });

  test('a kept connection is told to close, and cannot hold up the stop', async () => {
    const shop = await open({ lameDuckMs: 400, graceMs: 3_000 });
    const [waits, begun, idle, late] = [keptAgent(), keptAgent(), keptAgent(), keptAgent()];
    await fetched(`${shop.url}/now`, idle);
    await fetched(`${shop.url}/now`, late);
    const answers = [fetched(`${shop.url}/slow`, waits), fetched(`${shop.url}/begun`, begun)];
    await shop.arrived(2);
    const drained = shop.drain.drain();
    expect((await fetched(`${shop.url}/now`, late)).connection, 'of an answer during the stop').toBe('close');
    await until(async () => (await fetched(`${shop.url}/now`)).body === 'ECONNREFUSED', { what: 'the door to close' });
    shop.answer();
    const [waited] = await Promise.all(answers);
    expect(waited?.connection, 'of the answer to who waited').toBe('close');
    const { took, cut } = await drained;
    expect({ cut, heldUp: took >= 3_000 }, 'an idle connection, and one whose headers were out').toEqual({
      cut: 0,
      heldUp: false,
    });
  });

  test('what outlasts the grace time is cut off, and counted', async () => {
    const shop = await open({ graceMs: 120 });
    const hung = [fetched(`${shop.url}/a`), fetched(`${shop.url}/begun`)];
    await shop.arrived(2);
    const drained = shop.drain.drain();
    expect((await outcome(drained, 1_000)).value).toMatchObject({ finished: 0, cut: 2 });
    expect((await Promise.all(hung)).map(({ body }) => body)).toEqual(['ECONNRESET', 'ECONNRESET']);
  });

  test('who reads slowly gets the whole of an answer that was given before the stop', { timeout: 20_000 }, async () => {
    const size = 16 * 2 ** 20;
    const shop = await open({ graceMs: 9_000 }, (_request, response) => void response.end(Buffer.alloc(size)));
    const reads = connect(Number(new URL(shop.url).port), '127.0.0.1');
    reads.write('GET / HTTP/1.1\r\nhost: shop\r\n\r\n');
    await once(reads, 'readable');
    await fetched(shop.url, keptAgent());
    const drained = shop.drain.drain();
    expect(await settled(drained, 60), 'it has stopped while one still reads').toBe(false);
    let bytes = 0;
    reads.on('data', (chunk) => {
      bytes += chunk.length;
    });
    await once(reads, 'close');
    expect(bytes).toBeGreaterThan(size);
    expect(await drained).toMatchObject({ finished: 1, cut: 0 });
    const other = await open({ graceMs: 200 }, (_request, response) => void response.end(Buffer.alloc(size)));
    const stalls = connect(Number(new URL(other.url).port), '127.0.0.1').on('error', () => {});
    stalls.write('GET / HTTP/1.1\r\nhost: shop\r\n\r\n');
    await once(stalls, 'readable');
    await fetched(other.url, keptAgent());
    expect(await other.drain.drain(), 'one who never reads on, and one who only waits').toMatchObject({ cut: 1 });
    stalls.destroy();
  });

  test('who asks several times at once on one connection gets all the answers, and a count of those he does not get', async () => {
    const pipelined = async (shop: Awaited<ReturnType<typeof open>>, paths: readonly string[]) => {
      const socket = connect(Number(new URL(shop.url).port), '127.0.0.1').on('error', () => {});
      const send = (path: string) => socket.write(`GET ${path} HTTP/1.1\r\nhost: shop\r\n\r\n`);
      paths.forEach(send);
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk;
      });
      await shop.arrived(paths.length);
      return { send, text: once(socket, 'close').then(() => text) };
    };
    const shop = await open({ lameDuckMs: 300, graceMs: 3_000 });
    const { send, text } = await pipelined(shop, ['/a', '/b']);
    const drained = shop.drain.drain();
    send('/late');
    await shop.arrived(3);
    shop.answer();
    expect((await text).match(/a yogurt|connection: close/gi)).toEqual([
      'a yogurt',
      'a yogurt',
      'connection: close',
      'a yogurt',
    ]);
    expect(await drained).toMatchObject({ finished: 3, cut: 0 });
    const hung = await open({ graceMs: 120 });
    await pipelined(hung, ['/a', '/b', '/c']);
    expect(await hung.drain.drain(), 'three in flight').toMatchObject({ finished: 0, cut: 3 });
  });

  test('a connection that never asked for anything does not hold it up', async () => {
    const shop = await open({ graceMs: 3_000 });
    const silent = connect(Number(new URL(shop.url).port), '127.0.0.1');
    const closed = once(silent, 'close');
    await until(
      () => new Promise<boolean>((resolve) => shop.server.getConnections((_, count) => resolve(count === 1))),
    );
    const { took, cut } = await shop.drain.drain();
    await closed;
    expect({ cut, heldUp: took >= 3_000 }).toEqual({ cut: 0, heldUp: false });
  });

  test('an upgraded connection has until the grace time to end, and is cut off then', async () => {
    const shop = await open({ graceMs: 150 });
    shop.server.on('upgrade', (_request, socket) => socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n'));
    const socket = connect(Number(new URL(shop.url).port), '127.0.0.1');
    socket.on('error', () => {});
    const closed = once(socket, 'close');
    socket.write('GET / HTTP/1.1\r\nhost: shop\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\n');
    await once(socket, 'data');
    expect(await shop.drain.drain()).toMatchObject({ cut: 1 });
    await closed;
  });

  test('who has left is neither finished nor cut off', async () => {
    const shop = await open();
    const left = get(`${shop.url}/slow`, { agent: false }).on('error', () => {});
    await shop.arrived(1);
    const drained = shop.drain.drain();
    left.destroy();
    expect(await drained).toMatchObject({ finished: 0, cut: 0 });
  });

  test('it begins once, however often it is asked, and a second signal ends the grace time', async () => {
    const shop = await open({ signals: ['SIGUSR2'], graceMs: 60_000 });
    void fetched(`${shop.url}/slow`);
    await shop.arrived(1);
    process.emit('SIGUSR2', 'SIGUSR2');
    const drained = shop.drain.drain('another');
    expect(await settled(drained, 40)).toBe(false);
    process.emit('SIGUSR2', 'SIGUSR2');
    expect(await drained).toMatchObject({ reason: 'SIGUSR2', cut: 1 });
    expect(await shop.drain.drain()).toBe(await drained);
    expect(process.listenerCount('SIGUSR2'), 'listeners that stay').toBe(0);
  });

  test('by default it hears SIGTERM and SIGINT, and disposed it hears nothing', async () => {
    const before = (['SIGTERM', 'SIGINT'] as const).map((name) => process.listenerCount(name));
    const server = createServer();
    const drain = new Drain(server);
    const during = (['SIGTERM', 'SIGINT'] as const).map((name) => process.listenerCount(name));
    drain[Symbol.dispose]();
    expect(during).toEqual(before.map((count) => count + 1));
    expect((['SIGTERM', 'SIGINT'] as const).map((name) => process.listenerCount(name))).toEqual(before);
    expect(server.listenerCount('connection')).toBe(createServer().listenerCount('connection'));
  });

  test('times that leave nothing to stop in are refused', () => {
    const bad: DrainOptions[] = [
      { graceMs: -1 },
      { graceMs: 1.5 },
      { graceMs: Number.NaN },
      { graceMs: 2 ** 31 },
      { graceMs: 0 },
      { lameDuckMs: 8_000 },
      { lameDuckMs: 100, graceMs: 100 },
    ];
    for (const options of bad) {
      expect(() => new Drain(createServer(), { ...QUIET, ...options }), JSON.stringify(options)).toThrow(
        InvalidDrainOptionError,
      );
    }
    for (const signals of ['SIGTERM', ['SIGKILL'], ['SIGSTOP'], ['SIGTREM'], [undefined], null]) {
      const server = createServer();
      // @ts-expect-error: untyped code can hand in anything
      expect(() => new Drain(server, { signals }), JSON.stringify(signals)).toThrow(InvalidDrainOptionError);
      expect(server.listenerCount('connection'), 'it listens all the same').toBe(
        createServer().listenerCount('connection'),
      );
    }
    expect(() => new Drain(createServer(), { ...QUIET, lameDuckMs: 7_999 })).not.toThrow();
    expect(() => new Drain(createServer(), { ...QUIET, graceMs: 2 ** 31 - 1 })).not.toThrow();
  });

  test('as process 1 it hears SIGTERM and loses no request', async ({ skip }) => {
    if (noNamespace !== undefined) return skip(noNamespace);
    await using box = await contain(
      [process.execPath, join(import.meta.dirname, 'shop.ts'), 'drain'],
      import.meta.dirname,
    );
    const visits = customers(box.url, 8, AbortSignal.timeout(4_000));
    const agent = keptAgent();
    await until(async () => (await ask(box.url, agent)) === 'served', { what: 'a first customer' });
    const { killed } = await box.stop(3_000);
    const { served, lost } = await visits;
    expect({ pid: box.pid, killed, lost, served: served > 0 }).toEqual({
      pid: 1,
      killed: false,
      lost: 0,
      served: true,
    });
  });
});

describe('a health check', () => {
  const asked = async (listener: RequestListener, timeoutMs?: number) => {
    const { url } = await open({}, listener);
    return healthcheck(`${url}/ready`, timeoutMs);
  };

  test('only a whole 2xx is healthy: no other status, no redirect, no silence', async () => {
    const status = (code: number) =>
      asked((_request, response) => response.writeHead(code, code === 302 ? { location: '/login' } : {}).end());
    expect(await status(200)).toEqual({ healthy: true, why: 'HTTP 200' });
    expect(await status(204)).toMatchObject({ healthy: true });
    expect(await status(302)).toEqual({ healthy: false, why: 'HTTP 302' });
    expect(await status(300)).toMatchObject({ healthy: false });
    expect(await status(503)).toMatchObject({ healthy: false });
    expect(await asked(() => {}, 60)).toEqual({ healthy: false, why: 'no whole answer in 60 ms' });
    const half = await asked((_request, response) => void response.write('half'), 60);
    expect(half).toEqual({ healthy: false, why: 'no whole answer in 60 ms' });
    expect(await asked((request) => void request.socket.destroy())).toMatchObject({ healthy: false });
    expect(await healthcheck('http://127.0.0.1:1/')).toMatchObject({
      healthy: false,
      why: expect.stringMatching(/ECONNREFUSED/),
    });
    expect(await healthcheck('no url')).toMatchObject({ healthy: false });
  });
});
