import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect as connectTcp } from 'node:net';
import { text } from 'node:stream/consumers';
import { outcome, until } from '@shared/testkit';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type ClientOptions, WebSocket } from 'ws';
import {
  bearerToken,
  type Connection,
  type Consumer,
  ConsumerServer,
  type ConsumerServerOptions,
  InvalidArgumentError,
} from '#lab';

const OWN = 'https://board.example';
const TOKEN = 'bearer.seal-of-Ada';

describe('sockets', () => {
  /** A server that says back what it hears; `told` is what its consumers lived through. */
  const hall = async (options: Partial<ConsumerServerOptions<string>> = {}) => {
    const server = createServer((_, response) => response.end('page'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const told: string[] = [];
    const errors: unknown[] = [];
    const connections: Connection<string>[] = [];
    const echo = (connection: Connection<string>): Consumer => {
      connections.push(connection);
      return {
        connect: () => void told.push(`${connection.user} connects`),
        receive: (content) => connection.send({ echo: content }),
        disconnect: (code) => void told.push(`${connection.user} left: ${code}`),
      };
    };
    const sockets = new ConsumerServer<string>({
      server,
      path: '/board',
      origins: [OWN],
      // A cookie, which a browser sends by itself, or a token, which a page has to know.
      authenticate: (request) =>
        /who=(\w+)/.exec(request.headers.cookie ?? '')?.[1] ?? /^seal-of-(\w+)$/.exec(bearerToken(request) ?? '')?.[1],
      consumer: echo,
      patienceMs: 300,
      onError: (error) => errors.push(error),
      ...options,
    });
    onTestFinished(async () => {
      await sockets.close();
      server.closeAllConnections();
      server.close();
    });
    /** A client and what it hears; `closed` is the code in the end, or the status that refused it. */
    const client = (options: ClientOptions & { path?: string; protocols?: string[] } = {}) => {
      const { path = '/board', protocols = ['notes', TOKEN], ...rest } = options;
      const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols, rest);
      onTestFinished(() => socket.terminate());
      const heard: unknown[] = [];
      socket.on('message', (data) => heard.push(JSON.parse(String(data))));
      socket.on('error', () => {});
      const closed = new Promise<number>((resolve) => {
        socket.once('unexpected-response', (_, { statusCode = 0 }) => resolve(statusCode));
        socket.once('close', resolve);
      });
      const opened = new Promise<void>((resolve, reject) => {
        socket.once('open', () => resolve());
        void closed.then((code) => reject(new Error(`refused with ${code}`)));
      });
      opened.catch(() => {});
      return {
        socket,
        heard,
        opened,
        closed,
        ended: Promise.race([
          opened.then(
            () => 'open',
            () => closed,
          ),
          closed,
        ]),
      };
    };
    const both = async (options?: Parameters<typeof client>[0]) => {
      const made = client(options);
      await made.opened;
      const connection = await until(() => [...sockets.connections].at(-1), { what: 'the connection' });
      return { ...made, connection };
    };
    /** A client without a library, that answers nothing and never hangs up. */
    const raw = (header = '') => {
      const line = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true });
      onTestFinished(() => void line.destroy());
      line.on('error', () => {}).resume();
      line.write(
        `GET /board HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${'A'.repeat(22)}==\r\n${header}\r\n`,
      );
      return line;
    };
    return { server, port, sockets, told, errors, connections, client, both, raw };
  };

  /** What would have ended the process. */
  const uncaught = () => {
    const seen: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => seen.push(error));
    onTestFinished(() => {
      process.removeAllListeners('uncaughtException');
      for (const each of listeners) process.on('uncaughtException', each);
    });
    return seen;
  };

  // ── core ──

  test('a page of another site is refused with 403 and a stranger with 401, before there is a socket', async () => {
    const { client, connections } = await hall();
    const cookie = { headers: { cookie: 'who=Ada' }, protocols: [] };
    const foreign = ['https://evil.example', `${OWN}.evil.example`, `${OWN}:8443`, 'http://board.example', 'null', ''];
    for (const origin of [...foreign, `${OWN}, ${OWN}`]) {
      const { ended } = client({ ...cookie, headers: { ...cookie.headers, origin } });
      expect(await ended, `a page of "${origin}" that has Ada as its visitor`).toBe(403);
    }
    expect(await client({ protocols: [], origin: OWN }).ended, 'our page, without a login').toBe(401);
    expect(await client({ protocols: ['notes', 'bearer.forged'] }).ended, 'a forged token').toBe(401);
    const query = `/board?token=seal-of-Ada&bearer=seal-of-Ada`;
    expect(await client({ protocols: [], path: query }).ended, 'a token in the query').toBe(401);
    expect(connections.length, 'consumers made for those who were refused').toBe(0);
    expect(await client({ ...cookie, origin: OWN }).ended, 'our page, with a login').toBe('open');
    const program = client();
    expect(await program.ended, 'a program: no Origin, a token').toBe('open');
    expect(program.socket.protocol, 'what the answer says for all to read').toBe('notes');
  });

  test('a message that is too long closes its sender with 1009, one that is no JSON with 1007, and nobody else', async () => {
    const thrown = uncaught();
    const crash = once(process, 'uncaughtException').then(([error]) => `${error}`);
    const { client, both, told } = await hall({ maxPayloadBytes: 1000 });
    const good = await both();
    const bad: [data: string | Buffer, code: number, name: string][] = [
      ['x'.repeat(1001), 1009, 'a text of 1001 bytes'],
      ['{"text":', 1007, 'half an object'],
      ['', 1007, 'an empty text'],
      ['NaN', 1007, 'NaN'],
      [Buffer.from('{}'), 1003, 'a binary message'],
    ];
    for (const [data, code, name] of bad) {
      const { socket, opened, closed, heard } = client();
      await opened;
      socket.send(data);
      socket.send('"after it"');
      expect((await outcome(Promise.race([closed, crash]), 1000)).value, `${name} closes with`).toBe(code);
      expect(heard, `answers to ${name}, and to what came after it`).toEqual([]);
    }
    good.socket.send(JSON.stringify({ nice: true }));
    await until(() => good.heard.length > 0, { timeoutMs: 500, what: 'an answer to the good one' }).catch(() => {});
    expect(good.heard, 'what the good client hears, through write').toEqual([{ echo: { nice: true } }]);
    expect(thrown, 'exceptions that would have ended the process').toEqual([]);
    expect(told.filter((each) => each.includes('left')).length).toBe(bad.length);
  });

  test('who reads too slowly fills no more than its share of memory, and is then closed with 1013', async () => {
    const LIMIT = 512 * 1024;
    const { both, client, connections } = await hall({ maxBufferedBytes: LIMIT, patienceMs: 2000 });
    const slow = await both();
    const quick = client();
    await quick.opened;
    await until(() => connections.length === 2, { what: 'two connections' });
    slow.socket.pause();
    const frame = Buffer.from(JSON.stringify('x'.repeat(64 * 1024)));
    let most = 0;
    let sent = 0;
    // The kernel holds some megabytes before anything stays with us.
    for (; sent < 400 && slow.connection.open; sent++) {
      for (const connection of connections) connection.sendFrame(frame);
      most = Math.max(most, slow.connection.socket.bufferedAmount);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(most, `bytes that wait for it, of at most ${LIMIT}`).toBeLessThanOrEqual(LIMIT);
    expect(slow.connection.open, `open after ${sent} messages of 64 KiB that it did not read`).toBe(false);
    slow.socket.resume();
    expect((await outcome(slow.closed)).value, 'the code that it finds when it reads on').toBe(1013);
    await until(() => quick.heard.length === sent, { what: `all ${sent} messages at the one that reads` });
  });

  test('who has not answered a ping until the next one is gone, and who has stays', async () => {
    const { both, client, told, sockets } = await hall({ heartbeatMs: 60 });
    const dead = await both({ autoPong: false, protocols: ['notes', 'bearer.seal-of-Bo'] });
    let pings = 0;
    dead.socket.on('ping', () => pings++);
    const alive = client();
    let beats = 0;
    alive.socket.on('ping', () => beats++);
    await until(() => beats >= 5, { timeoutMs: 2000, what: 'five heartbeats' });
    expect(
      told.filter((each) => each.includes('left')),
      'who has left',
    ).toEqual(['Bo left: 1006']);
    expect(pings, 'pings sent to who never answers').toBeLessThanOrEqual(2);
    expect([...sockets.connections].map(({ user }) => user)).toEqual(['Ada']);
  });

  // ── hardening ──

  test('a consumer lives through connect, its messages one by one, and disconnect, once each, whatever the client does', async () => {
    const log: string[] = [];
    let go = () => {};
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    const consumer = (): Consumer => ({
      async connect() {
        log.push('connect');
        await gate;
        log.push('connected');
      },
      async receive(content) {
        log.push(`${content} in`);
        await Promise.resolve();
        log.push(`${content} out`);
      },
      disconnect: (code) => void log.push(`disconnect ${code}`),
    });
    const { client, sockets } = await hall({ consumer });
    const hasty = client();
    await hasty.opened;
    hasty.socket.send('1');
    hasty.socket.terminate();
    await until(() => sockets.connections.size === 0, { what: 'the client to be gone' });
    expect(log, 'gone while it connects').toEqual(['connect']);
    go();
    const patient = client();
    await patient.opened;
    for (const n of [1, 2]) patient.socket.send(`${n}`);
    await until(() => log.includes('2 out'), { what: 'both messages' });
    patient.socket.close(4001);
    await until(() => log.includes('disconnect 4001'), { what: 'the end' });
    expect(log).toEqual([
      ...['connect', 'connected', 'disconnect 1006'],
      ...['connect', 'connected', '1 in', '1 out', '2 in', '2 out', 'disconnect 4001'],
    ]);
  });

  test('a consumer that throws closes its own connection with 1011, and is reported', async () => {
    const boom = new Error('boom');
    const consumer = ({ user }: Connection<string>): Consumer => {
      if (user === 'Maker') throw boom;
      return {
        connect: () => (user === 'Door' ? Promise.reject(boom) : undefined),
        receive: () => Promise.reject(boom),
        disconnect: () => Promise.reject(boom),
      };
    };
    const { client, errors, sockets } = await hall({ consumer });
    for (const [user, reports] of [
      ['Maker', 1],
      ['Door', 3],
      ['Hand', 5],
    ] as const) {
      const { socket, opened, closed } = client({ protocols: ['notes', `bearer.seal-of-${user}`] });
      await opened;
      socket.send('1');
      expect((await outcome(closed)).value, user).toBe(1011);
      await until(() => errors.length >= reports, { what: 'the reports' });
    }
    expect(errors.map((error) => (error as Error).cause)).toEqual([boom, boom, boom, boom, boom]);
    await until(() => sockets.connections.size === 0, { what: 'nobody' });
  });

  test('a flood is read no faster than its consumer takes it, and does not count as silence', async () => {
    const gate = Promise.withResolvers<void>();
    let begun = 0;
    let taken = 0;
    const paused: boolean[] = [];
    const consumer = ({ user, socket }: Connection<string>): Consumer => ({
      async receive() {
        if (user === 'Bo') return void paused.push(socket.isPaused);
        begun++;
        await gate.promise;
        taken++;
      },
    });
    const { both, sockets, raw } = await hall({ consumer, heartbeatMs: 40, maxPayloadBytes: 100_000 });
    const { socket, connection } = await both();
    let pings = 0;
    socket.on('ping', () => pings++);
    const big = JSON.stringify('x'.repeat(60_000));
    for (let n = 0; n < 150; n++) socket.send(big);
    await until(() => connection.socket.isPaused, { what: 'a pause' });
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(begun, 'taken by the consumer at once').toBe(1);
    expect(socket.bufferedAmount, 'bytes that the client could not get rid of').toBeGreaterThan(1_000_000);
    expect([...sockets.connections], 'after five heartbeats in which nothing was read').toEqual([connection]);
    gate.resolve();
    const seen = pings;
    await until(() => taken === 150, { timeoutMs: 4000, what: 'all 150' });
    await until(() => pings > seen + 2, { what: 'further heartbeats' });
    expect(connection.open).toBe(true);
    const line = raw('Cookie: who=Bo\r\n');
    await until(() => sockets.connections.size === 2, { what: 'Bo' });
    line.write(Buffer.concat(Array(5000).fill(Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0x31]))));
    await until(() => paused.length === 5000, { what: '5000 messages of one byte' });
    expect(paused.slice(0, 500), 'is its socket paused while thousands of them wait?').not.toContain(false);
  });

  test('a server that was busy does not hang up on those who have answered meanwhile', async () => {
    const { both, sockets } = await hall({ heartbeatMs: 50 });
    const child = await both();
    let beats = 0;
    child.socket.on('ping', () => {
      beats++;
      // Neither reads while this takes: the next two heartbeats are due at once.
      const until = performance.now() + 120;
      while (performance.now() < until);
    });
    await until(() => beats === 5, { what: 'five heartbeats' });
    expect(sockets.connections.size).toBe(1);
  });

  test('close() tells the clients, waits for the consumers, not for ever, and lets nobody in', async () => {
    let ended = 0;
    const consumer = ({ user }: Connection<string>): Consumer => ({
      receive: () => new Promise(() => {}),
      async disconnect() {
        await Promise.resolve();
        if (user === 'Ada') ended++;
      },
    });
    let admit = () => {};
    const slow = new Promise<string>((resolve) => {
      admit = () => resolve('Late');
    });
    const { client, sockets, server, raw } = await hall({
      consumer,
      patienceMs: 150,
      authenticate: ({ headers }) => (headers.cookie ? slow : 'Ada'),
    });
    const three = [client(), client(), client()];
    await Promise.all(three.map(({ opened }) => opened));
    const hanging = client();
    await hanging.opened;
    hanging.socket.send('1');
    raw();
    const rude = raw();
    await until(() => sockets.connections.size === 6, { what: 'six connections' });
    rude.write(Buffer.from([0xf1, 0x80, 0, 0, 0, 0]));
    await until(() => [...sockets.connections].some(({ open }) => !open), {
      what: 'the end of what breaks the protocol',
    });
    const asked = once(server, 'upgrade');
    const late = client({ headers: { cookie: 'x' } });
    await asked;
    const closing = sockets.close();
    admit();
    expect(await late.ended, 'who was being asked').toBe(503);
    expect(await Promise.all(three.map(({ closed }) => closed))).toEqual([1012, 1012, 1012]);
    expect((await outcome(closing)).error).toBeUndefined();
    expect(
      [ended, sockets.connections.size, server.listenerCount('upgrade')],
      'consumers ended, one of them deaf, and one that stays after its mistake',
    ).toEqual([5, 0, 0]);
    await sockets.close();
  });

  test('an authentication that throws is a 500, one that hangs a 503, and who goes away meanwhile is nobody’s error', async () => {
    const thrown = uncaught();
    const authenticate = ({ headers }: { headers: { cookie?: string | undefined } }) =>
      headers.cookie === 'throws'
        ? Promise.reject(new Error('no database'))
        : new Promise<string | null>((resolve) => headers.cookie && resolve(null));
    const { client, errors, connections, port, server } = await hall({ authenticate, patienceMs: 100 });
    expect(await client({ headers: { cookie: 'throws' } }).ended).toBe(500);
    expect(await client({ headers: { cookie: 'null' } }).ended, 'what a database says of a stranger').toBe(401);
    const other = () => {};
    server.on('upgrade', other);
    for (const { socket } of [client(), client({ path: '/nobody' })]) setImmediate(() => socket.terminate());
    expect(await client().ended).toBe(503);
    expect(await client({ path: '/nobody' }).ended, 'a path that another listener may have, and has not').toBe(404);
    server.off('upgrade', other);
    expect(await client({ path: '/other' }).ended, 'another path').toBe(404);
    const raw = connectTcp(port, '127.0.0.1');
    raw.end('GET /board HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    expect(await text(raw), 'no handshake at all').toMatch(/^HTTP\/1.1 (400|503)/);
    expect([errors.length, connections.length, thrown]).toEqual([1, 0, []]);
  });

  test('options that would mean something else are refused', async () => {
    for (const origin of ['https://board.example/', 'board.example', '*', 'null', '']) {
      expect((await outcome(hall({ origins: [origin] }))).error, origin).toBeInstanceOf(InvalidArgumentError);
    }
    for (const wrong of [
      { maxPayloadBytes: 0 },
      { heartbeatMs: 0.5 },
      { patienceMs: 2 ** 31 },
      { maxBufferedBytes: Number.NaN },
    ]) {
      expect((await outcome(hall(wrong))).error).toBeInstanceOf(InvalidArgumentError);
    }
    const { both, connections } = await hall();
    const { connection } = await both();
    expect(() => connection.send(JSON.parse('{}').nothing)).toThrow(InvalidArgumentError);
    for (const [code, reason] of [[1005], [99], [Number.NaN], [4000, '梅'.repeat(42)]] as const) {
      expect(() => connection.close(code, reason), `a close with ${code}`).toThrow(InvalidArgumentError);
    }
    expect([connections.length, connection.open]).toEqual([1, true]);
  });
});
