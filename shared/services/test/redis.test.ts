import { afterEach, expect, test } from 'vitest';
import {
  FaultUnavailableError,
  onAnnounce,
  PortTakenError,
  type RedisServers,
  ServerDiedError,
  startRedis,
} from '../src/index.ts';
import { EmbeddedServer, temporaryFolder } from '../src/process.ts';
import { client, failure, listens, stranger, until } from './support.ts';

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one[Symbol.asyncDispose]();
});
async function start(...args: Parameters<typeof startRedis>): Promise<RedisServers> {
  const servers = await startRedis(...args);
  open.push(servers);
  return servers;
}

test('five nodes are five servers that know nothing of each other', async () => {
  const { nodes, origin, faults } = await start({ nodes: 5 });
  expect([nodes.length, origin, faults]).toEqual([5, 'embedded', true]);
  await Promise.all(
    nodes.map(async (node) => {
      await using redis = client(node.url);
      expect(await redis.keys('*')).toEqual([]);
      await redis.set('me', node.index);
      expect(await redis.info('replication')).toContain('connected_slaves:0');
    }),
  );
});

test('a start is announced in one line, with the servers and their version', async () => {
  const lines: string[] = [];
  const end = onAnnounce((line) => lines.push(line));
  const redis = await start({ nodes: 2 });
  end();
  expect(lines).toEqual([redis.banner]);
  expect(redis.banner).toMatch(/^redis ×2: embedded (valkey )?\d+\.\d+\.\d+$/);
  expect(redis.inspect[1]).toMatch(new RegExp(`redis-cli -p ${redis.nodes[1]?.port}$`));
});

test('two runs at once collide in nothing', async () => {
  const runs = await Promise.all([start({ nodes: 3 }), start({ nodes: 3 }), start({ nodes: 3 })]);
  const ports = runs.flatMap(({ nodes }) => nodes.map(({ port }) => port));
  expect(new Set(ports).size).toBe(9);
  expect(new Set(runs.map(({ namespace }) => namespace)).size).toBe(3);
});

test('a server listens on the loopback alone', async () => {
  const { nodes } = await start();
  await using redis = client(nodes[0].url);
  expect(await redis.config('GET', 'bind')).toEqual(['bind', '127.0.0.1']);
});

test('a killed node is gone when kill() resolves, and answers on its old port when restart() resolves', async () => {
  const { nodes } = await start();
  const [node] = nodes;
  await node.kill();
  expect([node.state, await listens(node.port)]).toEqual(['down', false]);
  await node.restart();
  await using redis = client(node.url);
  expect([node.state, await redis.ping()]).toEqual(['up', 'PONG']);
});

test('restart() of a running node kills it first', async () => {
  const [node] = (await start()).nodes;
  await using before = client(node.url);
  const id = /run_id:(\S+)/.exec(await before.info('server'))?.[1];
  await node.restart();
  await using after = client(node.url);
  expect(/run_id:(\S+)/.exec(await after.info('server'))?.[1]).not.toBe(id);
});

test('without persistence a killed node forgets; with persist: always it remembers each acknowledged write', async () => {
  const forgetful = await start();
  const durable = await start({ persist: 'always' });
  for (const [servers, remembered] of [
    [forgetful, null],
    [durable, 'v'],
  ] as const) {
    const [node] = servers.nodes;
    await using before = client(node.url);
    await before.set('k', 'v');
    await node.kill();
    await node.restart();
    await using after = client(node.url);
    expect(await after.get('k')).toBe(remembered);
  }
});

test('a paused node answers nothing until it is resumed, then answers what it was asked', async () => {
  const [node] = (await start()).nodes;
  await using redis = client(node.url);
  await redis.ping();
  await node.pause();
  let answered = false;
  const answer = redis.set('asked', 'while paused').then((reply) => {
    answered = true;
    return reply;
  });
  // The port of a hung host still accepts.
  expect(await listens(node.port)).toBe(true);
  expect([node.state, answered]).toEqual(['paused', false]);
  await node.resume();
  expect([await answer, node.state]).toEqual(['OK', 'up']);
});

test('a node that died by itself is down, and comes back by restart()', async () => {
  const [node] = (await start()).nodes;
  await using redis = client(node.url);
  redis.shutdown('NOSAVE').catch(() => {});
  await until('the node is down', () => node.state === 'down');
  await node.restart();
  await using again = client(node.url);
  expect(await again.ping()).toBe('PONG');
});

test('a node that is down cannot be paused: a typed error says so', async () => {
  const [node] = (await start()).nodes;
  await node.kill();
  await node.kill();
  const { error } = await failure(node.pause());
  expect(error).toBeInstanceOf(FaultUnavailableError);
  expect(error.message).toContain('restart() it first');
});

test('faults that are called at once happen in the order of the calls', async () => {
  const [node] = (await start()).nodes;
  await Promise.all([node.kill(), node.restart(), node.pause(), node.resume(), node.kill(), node.restart()]);
  await using redis = client(node.url);
  expect([node.state, await redis.ping()]).toEqual(['up', 'PONG']);
});

test('a port that the caller insists on and another has is a PortTakenError within 5 s', async () => {
  await using other = await stranger();
  const { error, ms } = await failure(start({ ports: [other.port] }));
  expect(error).toBeInstanceOf(PortTakenError);
  expect(error.message).toContain(String(other.port));
  expect(ms).toBeLessThan(5000);
});

test('a port that another took while the node was down is a PortTakenError; once it is free the node comes back', async () => {
  const [node] = (await start()).nodes;
  await node.kill();
  {
    // It speaks Redis too: an answer alone does not make it ours.
    await using _other = await stranger(node.port, (socket) => socket.write('+PONG\r\n'));
    const { error } = await failure(node.restart());
    expect([error.constructor, node.state]).toEqual([PortTakenError, 'down']);
  }
  await node.restart();
  expect(node.state).toBe('up');
});

test('a server that dies at start gives its typed error with its log, and leaves nothing', async () => {
  const folder = await temporaryFolder('test');
  const { error, ms } = await failure(
    EmbeddedServer.start({
      service: 'redis',
      program: { path: process.execPath },
      folder: folder.path,
      args: () => ['-e', 'console.error("out of luck"); process.exit(9)'],
      ready: async () => false,
    }),
  );
  await folder.settle();
  expect(error).toBeInstanceOf(ServerDiedError);
  expect(error.message).toContain('exit code 9');
  expect(error.message).toContain('| out of luck');
  expect(ms).toBeLessThan(5000);
});

test('a program that cannot be run gives the typed error too', async () => {
  const folder = await temporaryFolder('test');
  const { error } = await failure(
    EmbeddedServer.start({
      service: 'redis',
      program: { path: '/nowhere/redis-server' },
      folder: folder.path,
      args: () => [],
      ready: async () => false,
    }),
  );
  await folder.settle();
  expect(error).toBeInstanceOf(ServerDiedError);
  expect(error.message).toContain('ENOENT');
});

test('a server that hangs at start gives a StartTimeoutError and is ended', async () => {
  const folder = await temporaryFolder('test');
  const { error } = await failure(
    EmbeddedServer.start({
      service: 'redis',
      program: { path: '/bin/sleep' },
      folder: folder.path,
      args: () => ['60'],
      ready: async () => false,
      timeoutMs: 50,
    }),
  );
  const { processesIn } = await import('../src/belongings.ts');
  expect([error.name, await processesIn(folder.path)]).toEqual(['StartTimeoutError', []]);
  await folder.settle();
});

test('an abort during the start rejects with its reason', async () => {
  const abort = new AbortController();
  const starting = start({ nodes: 5, signal: abort.signal });
  setTimeout(() => abort.abort(new Error('Ctrl-C')), 15);
  expect((await failure(starting)).error.message).toBe('Ctrl-C');
});

test('a close with a paused and a dead node ends everything, and a second close does nothing', async () => {
  const redis = await startRedis({ nodes: 3 });
  await redis.nodes[1]?.pause();
  await redis.nodes[2]?.kill();
  await redis[Symbol.asyncDispose]();
  await redis[Symbol.asyncDispose]();
  expect(await Promise.all(redis.nodes.map(({ port }) => listens(port)))).toEqual([false, false, false]);
});

test('an idle client survives a killed node without an uncaught error of ours', async () => {
  const [node] = (await start()).nodes;
  await using redis = client(node.url);
  await redis.ping();
  const closed = new Promise((resolve) => redis.once('close', resolve));
  await node.kill();
  await closed;
});
