import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { describeWith } from '@shared/testkit';
import { afterEach, expect, test, vi } from 'vitest';
import { processesIn } from '../src/belongings.ts';
import { inspectServices, MissingServerError, type Node, startZooKeeper, type ZooKeeperServers } from '../src/index.ts';
import { failure, listens, Script, temporary, until } from './support.ts';

// JVMs: three start in 2 s alone on two cores, and take a multiple of it beside other work.
const SLOW = 120_000;
const ELECTED_MS = 30_000;

afterEach(() => {
  vi.unstubAllEnvs();
});

/** What a node says of its part: leader, follower, standalone; undefined while it serves nobody. */
async function mode(node: Node): Promise<string | undefined> {
  const socket = connect(node.port, '127.0.0.1', () => socket.write('srvr'));
  socket.setTimeout(1000, () => socket.destroy());
  let said = '';
  socket.on('data', (chunk) => {
    said += chunk;
  });
  await once(socket, 'close');
  return /^Mode: (\w+)$/m.exec(said)?.[1];
}

const modes = async ({ nodes }: ZooKeeperServers) => (await Promise.all(nodes.map(mode))).sort();

async function leaderOf(servers: ZooKeeperServers): Promise<Node> {
  const leader = await servers.leader();
  if (leader === undefined) throw new Error('there is no leader');
  return leader;
}

const anotherThan = (old: Node, servers: ZooKeeperServers) => async () => {
  const leader = await servers.leader();
  return leader !== undefined && leader !== old;
};

await describeWith(
  'ensembles of three',
  { three: () => startZooKeeper({ nodes: 3 }), other: () => startZooKeeper({ nodes: 3 }) },
  ({ three, other }) => {
    test('have one leader each when they are started, and ports of their own', { timeout: SLOW }, async () => {
      expect(three.banner).toMatch(/^zookeeper ×3: embedded 3\.\d+\.\d+, JRE \d+/);
      expect([three.nodes.length, three.faults, three.origin]).toEqual([3, true, 'embedded']);
      for (const servers of [three, other]) {
        expect(await modes(servers)).toEqual(['follower', 'follower', 'leader']);
        expect(await mode(await leaderOf(servers))).toBe('leader');
        expect(servers.connectString).toBe(servers.nodes.map(({ port }) => `127.0.0.1:${port}`).join(','));
      }
      const ports = [three, other].flatMap(({ nodes }) => nodes.map(({ port }) => port));
      expect(new Set(ports).size).toBe(6);
    });

    test('elect another leader when theirs is killed; restarted, the old one follows', { timeout: SLOW }, async () => {
      const old = await leaderOf(three);
      await old.kill();
      expect([old.state, await listens(old.port)]).toEqual(['down', false]);
      await until('another leads', anotherThan(old, three), ELECTED_MS);
      await old.restart();
      expect([old.state, await mode(old)]).toEqual(['up', 'follower']);
    });

    test('elect another leader when theirs is paused; resumed, the old one follows', { timeout: SLOW }, async () => {
      const old = await leaderOf(three);
      await old.pause();
      await until('another leads', anotherThan(old, three), ELECTED_MS);
      await old.resume();
      await until('the old one follows', async () => (await mode(old)) === 'follower', ELECTED_MS);
    });

    test('serve nobody without a majority, and serve again with one', { timeout: SLOW }, async () => {
      await Promise.all(other.nodes.map((node) => node.kill()));
      const [first, second] = other.nodes;
      await first.restart();
      expect([first.state, await listens(first.port), await mode(first)]).toEqual(['up', true, undefined]);
      expect(await other.leader()).toBe(undefined);
      await second?.restart();
      await until('two are enough', async () => (await other.leader()) !== undefined, ELECTED_MS);
    });
  },
);

test('one node is alone and leads nobody but itself; a network can be put in front of it', {
  timeout: SLOW,
}, async () => {
  await using one = await startZooKeeper();
  const [node] = one.nodes;
  expect([await mode(node), await one.leader()]).toEqual(['standalone', node]);
  const net = await node.proxy();
  const socket = connect(net.port, '127.0.0.1', () => socket.write('ruok'));
  const [said] = await once(socket, 'data');
  socket.destroy();
  expect(String(said)).toBe('imok');
});

test('after kill -9 of the parent no process and no folder is left, a paused node included', {
  timeout: SLOW,
}, async () => {
  await using folder = await temporary();
  const script = new Script('hold-zookeeper.ts', { TMPDIR: folder.path });
  await until('it says its ports', () => script.output.includes('\n'), 60_000);
  expect((await processesIn(folder.path)).length).toBe(3);
  script.child.kill('SIGKILL');
  await script.ended();
  const left = async () => (await readdir(folder.path)).length + (await processesIn(folder.path)).length;
  await until('nothing is left', async () => (await left()) === 0);
});

test('an abort during the start rejects with its reason, and leaves nothing', { timeout: SLOW }, async () => {
  await using folder = await temporary();
  vi.stubEnv('TMPDIR', folder.path);
  const abort = new AbortController();
  const starting = startZooKeeper({ nodes: 3, signal: abort.signal });
  await until('the nodes have begun', async () => (await processesIn(folder.path)).length > 0);
  abort.abort(new Error('Ctrl-C'));
  expect((await failure(starting)).error.message).toBe('Ctrl-C');
  expect(await readdir(folder.path)).toEqual([]);
});

test('two nodes, of which both would be needed, are refused', async () => {
  expect((await failure(Reflect.apply(startZooKeeper, undefined, [{ nodes: 2 }]))).error).toBeInstanceOf(RangeError);
});

test('only ours will do: LABS_SERVICES=compose is refused, and no variable is named that would help', async () => {
  vi.stubEnv('LABS_SERVICES', 'compose');
  const { error } = await failure(startZooKeeper());
  expect(error).toBeInstanceOf(MissingServerError);
  expect(error.message).toContain('Unset LABS_SERVICES');
  const [report] = await inspectServices(['zookeeper']);
  expect(report?.ways.join()).not.toMatch(/export|docker/);
});
