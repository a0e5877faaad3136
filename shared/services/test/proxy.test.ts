import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { startRedis } from '../src/index.ts';
import { openProxy } from '../src/proxy.ts';
import { client, until } from './support.ts';

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

/** A server that keeps what it hears, and a proxy in front of it. */
async function lineTo(answer: (heard: string, socket: Socket) => void = () => {}) {
  const heard: string[] = [];
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      heard.push(chunk);
      answer(chunk, socket);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const proxy = await openProxy({ url: `tcp://127.0.0.1:${address.port}`, host: '127.0.0.1', port: address.port });
  open.push({
    [Symbol.asyncDispose]: async () => {
      await proxy[Symbol.asyncDispose]();
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  });
  return { proxy, heard, sockets };
}

function caller(port: number) {
  const socket = connect({ host: '127.0.0.1', port }).setEncoding('utf8');
  const state = { heard: '', error: '' };
  socket.on('data', (chunk: string) => {
    state.heard += chunk;
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    state.error = error.code ?? error.message;
  });
  open.push({
    [Symbol.asyncDispose]: async () => {
      socket.destroy();
    },
  });
  return Object.assign(state, { socket });
}

test('without a fault a proxy changes nothing: a real client works through it', async () => {
  await using redis = await startRedis();
  const proxy = await redis.nodes[0].proxy();
  await using through = client(proxy.url);
  const big = 'x'.repeat(3_000_000);
  await through.set('big', big);
  expect((await through.get('big'))?.length).toBe(big.length);
  expect(proxy.url).toBe(`redis://127.0.0.1:${proxy.port}`);
});

test('latency delays every byte each way, and keeps the order', async () => {
  const { proxy, heard } = await lineTo((chunk, socket) => socket.write(chunk));
  const { socket, ...state } = caller(proxy.port);
  await once(socket, 'connect');
  proxy.latency(60);
  const began = performance.now();
  for (let i = 0; i < 10; i += 1) {
    socket.write(`${i}`);
    await sleep(2);
    // Less latency for the later ones must not let them overtake.
    if (i === 4) proxy.latency(40);
  }
  let echoed = '';
  socket.on('data', (chunk: string) => {
    echoed += chunk;
  });
  await until('everything is echoed', () => echoed === '0123456789');
  expect(performance.now() - began).toBeGreaterThanOrEqual(80);
  expect([heard.join(''), state.error]).toEqual(['0123456789', '']);
});

test('a partition lets nothing through, keeps connections open, and after heal() all arrives once and in order', async () => {
  const { proxy, heard } = await lineTo((chunk, socket) => socket.write(`<${chunk}>`));
  const one = caller(proxy.port);
  one.socket.write('a');
  await until('it works before', () => one.heard === '<a>');
  proxy.partition();
  one.socket.write('b');
  const late = caller(proxy.port);
  await once(late.socket, 'connect');
  late.socket.write('c');
  await sleep(50);
  expect([heard, one.heard, late.heard]).toEqual([['a'], '<a>', '']);
  proxy.heal();
  await until('all arrives', () => one.heard === '<a><b>' && late.heard === '<c>');
  expect([one.error, late.error, heard.toSorted()]).toEqual(['', '', ['a', 'b', 'c']]);
});

test('a partition upwards stops requests; one downwards stops the replies of requests that are carried out', async () => {
  const { proxy, heard } = await lineTo((chunk, socket) => socket.write(`<${chunk}>`));
  const { socket, ...rest } = caller(proxy.port);
  const replies: string[] = [];
  socket.on('data', (chunk: string) => replies.push(chunk));
  proxy.partition('down');
  socket.write('a');
  await until('the request is carried out', () => heard.join('') === 'a');
  await sleep(30);
  expect(replies).toEqual([]);
  proxy.heal();
  await until('its reply comes late', () => replies.join('') === '<a>');
  proxy.partition('up');
  socket.write('b');
  await sleep(30);
  expect(heard.join('')).toBe('a');
  proxy.heal();
  await until('then the request is carried out', () => replies.join('') === '<a><b>');
  expect(rest.error).toBe('');
});

test('a request whose client gave up during the partition still reaches the server after heal()', async () => {
  const { proxy, heard } = await lineTo();
  const { socket } = caller(proxy.port);
  await once(socket, 'connect');
  proxy.partition();
  socket.end('late DEL');
  await sleep(30);
  proxy.heal();
  await until('the request arrives', () => heard.join('') === 'late DEL');
});

test('reset() breaks every open connection with an RST on both sides, and new ones work', async () => {
  const { proxy, sockets } = await lineTo((chunk, socket) => socket.write(chunk));
  const before = caller(proxy.port);
  before.socket.write('a');
  await until('it works before', () => before.heard === 'a');
  proxy.reset();
  await until('the client sees the reset', () => before.error === 'ECONNRESET');
  await until('the server sees it too', () => sockets[0]?.errored !== null);
  const after = caller(proxy.port);
  after.socket.write('b');
  await until('a new connection works', () => after.heard === 'b');
});

test('behind a proxy whose node is down a connection is broken off, not left hanging', async () => {
  await using redis = await startRedis();
  const [node] = redis.nodes;
  const proxy = await node.proxy();
  await node.kill();
  const { socket } = caller(proxy.port);
  await until('the connection is closed', () => socket.closed);
});

test('a slow reader is not outrun: a proxy holds little more than a megabyte in a partition', async () => {
  const { proxy } = await lineTo();
  const { socket } = caller(proxy.port);
  await once(socket, 'connect');
  proxy.partition();
  const taken = () => socket.bytesWritten - socket.writableLength;
  socket.write(Buffer.alloc(64 << 20));
  let before = -1;
  await until('the sender is held back', async () => {
    const now = taken();
    const steady = now === before;
    before = now;
    await sleep(50);
    return steady;
  });
  expect(socket.writableLength).toBeGreaterThan(0);
});

test('close of the servers closes their proxies', async () => {
  const redis = await startRedis();
  const proxy = await redis.nodes[0].proxy();
  const { socket } = caller(proxy.port);
  await once(socket, 'connect');
  await redis[Symbol.asyncDispose]();
  await until('the connection is closed', () => socket.closed);
  const again = caller(proxy.port);
  await until('nothing listens', () => again.error === 'ECONNREFUSED');
});
