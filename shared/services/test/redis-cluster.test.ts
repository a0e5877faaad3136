import { readdir } from 'node:fs/promises';
import { describeWith } from '@shared/testkit';
import { Cluster } from 'ioredis';
import { afterEach, expect, test, vi } from 'vitest';
import { type ClusterNode, MissingServerError, type RedisCluster, startRedis } from '../src/index.ts';
import { freePort } from '../src/ports.ts';
import { client, failure, listens, temporary, until } from './support.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

/** Two to three seconds, on a machine that is not busy. */
const PROMOTED_MS = 15_000;

/** How this node sees each node of its cluster, by id. */
async function view(node: ClusterNode) {
  await using redis = client(node.url);
  const lines = String(await redis.cluster('NODES'))
    .trim()
    .split('\n');
  return new Map(
    lines.map((line) => {
      const [id = '', address = '', flags = '', primary, , , , link, ...slots] = line.split(' ');
      return [id, { address, flags: flags.replace('myself,', ''), primary, link, slots }] as const;
    }),
  );
}

async function serves(node: ClusterNode): Promise<boolean> {
  await using redis = client(node.url);
  return String(await redis.cluster('INFO')).includes('cluster_state:ok');
}

async function part(node: ClusterNode): Promise<unknown> {
  await using redis = client(node.url);
  return (await redis.role())[0];
}

const clusterOf = ({ nodes }: RedisCluster) => {
  const cluster = new Cluster(nodes.map(({ host, port }) => ({ host, port })));
  cluster.on('error', () => {});
  return Object.assign(cluster, { [Symbol.asyncDispose]: async () => cluster.disconnect() });
};

await describeWith(
  'a cluster',
  { one: () => startRedis({ cluster: 6 }), two: () => startRedis({ cluster: 6, persist: 'always' }) },
  ({ one, two }) => {
    test('is three primaries with all slots and a replica each, and every node knows and says it', async () => {
      expect(one.banner).toMatch(/^redis ×6: embedded (valkey )?\d+\.\d+\.\d+, one cluster$/);
      expect([one.nodes.length, one.faults, one.origin]).toEqual([6, true, 'embedded']);
      for (const node of one.nodes) {
        expect(await serves(node)).toBe(true);
        const seen = await view(node);
        expect(seen.size).toBe(6);
        for (const [index, { id, port }] of one.nodes.entries()) {
          const primary = one.nodes[index - 3]?.id ?? '-';
          expect(seen.get(id)).toMatchObject({ flags: index < 3 ? 'master' : 'slave', primary, link: 'connected' });
          expect(seen.get(id)?.address).toMatch(new RegExp(`^127\\.0\\.0\\.1:${port}@\\d+`));
        }
        const slots = one.nodes.map(({ id }) => seen.get(id)?.slots.join());
        expect(slots).toEqual(['0-5460', '5461-10922', '10923-16383', '', '', '']);
      }
    });

    test('answers a key of a foreign slot with MOVED to the address of its primary', async () => {
      await using redis = client(one.nodes[0].url);
      // CLUSTER KEYSLOT foo = 12182: the last third.
      const { error } = await failure(redis.set('foo', 'bar'));
      expect(error.message).toBe(`MOVED 12182 127.0.0.1:${one.nodes[2].port}`);
      await using cluster = clusterOf(one);
      expect(await cluster.set('foo', 'bar')).toBe('OK');
      await using primary = client(one.nodes[2].url);
      expect(await primary.get('foo')).toBe('bar');
    });

    test('knows nothing of another that runs beside it', async () => {
      const ports = [one, two].flatMap(({ nodes }) => nodes.map(({ port }) => port));
      expect(new Set(ports.flatMap((port) => [port, port + 10_000])).size).toBe(24);
      const [mine, theirs] = [await view(one.nodes[0]), await view(two.nodes[0])];
      expect([...mine.keys()].filter((id) => theirs.has(id))).toEqual([]);
      await using first = clusterOf(one);
      await using second = clusterOf(two);
      await first.set('whose', 'one');
      expect(await second.get('whose')).toBe(null);
    });

    test('promotes the replica of a killed primary, keeps what it had, and takes the old one back as a replica', async () => {
      const [old, , , heir] = two.nodes;
      await using cluster = clusterOf(two);
      // Slot 3300: the first third. WAIT: the replica has it too.
      await using primary = client(old.url);
      await primary.set('b', 'kept');
      expect(await primary.wait(1, 5000)).toBe(1);
      await old.kill();
      expect([old.state, await listens(old.port), heir.state]).toEqual(['down', false, 'up']);
      await until('its replica is promoted', async () => (await part(heir)) === 'master', PROMOTED_MS);
      await until('the cluster serves again', () => serves(heir), PROMOTED_MS);
      await until('its clients find the key', async () => (await cluster.get('b')) === 'kept', PROMOTED_MS);
      await old.restart();
      await until('the old one is a replica', async () => (await part(old)) === 'slave', PROMOTED_MS);
      await until('it is known as one', async () => (await view(heir)).get(old.id)?.primary === heir.id, PROMOTED_MS);
    });

    test('promotes the replica of a paused primary as well', async () => {
      const [, old, , , heir] = two.nodes;
      await old.pause();
      await until('its replica is promoted', async () => (await part(heir)) === 'master', PROMOTED_MS);
      await old.resume();
      await until('the old one learns of it', async () => (await part(old)) === 'slave', PROMOTED_MS);
    });
  },
);

test('the time after which a silent node is suspected is the one that was wished', async () => {
  await using servers = await startRedis({ cluster: 6, nodeTimeoutMs: 700 });
  await using redis = client(servers.nodes[5].url);
  expect(await redis.config('GET', 'cluster-node-timeout')).toEqual(['cluster-node-timeout', '700']);
});

test('an abort while it is formed rejects with its reason, and leaves nothing', async () => {
  await using folder = await temporary();
  vi.stubEnv('TMPDIR', folder.path);
  const abort = new AbortController();
  const starting = startRedis({ cluster: 6, signal: abort.signal });
  setTimeout(() => abort.abort(new Error('Ctrl-C')), 600);
  expect((await failure(starting)).error.message).toBe('Ctrl-C');
  expect(await readdir(folder.path)).toEqual([]);
});

test('a cluster of another size is refused', async () => {
  expect((await failure(Reflect.apply(startRedis, undefined, [{ cluster: 3 }]))).error).toBeInstanceOf(RangeError);
});

test.each([
  { cluster: 6, nodeTimeoutMs: 99 },
  { cluster: 6, nodeTimeoutMs: 1000.5 },
  { cluster: 6, nodeTimeoutMs: Number.NaN },
] as const)('%o is refused', async (wish) => {
  expect((await failure(startRedis(wish))).error).toBeInstanceOf(RangeError);
});

test.each([
  ['REDIS_URL', 'redis://:secret@127.0.0.1:1', ''],
  ['LABS_SERVICES', 'compose', 'compose'],
])(
  '%s=%s is no place for a cluster: refused before anything is started, with what to do',
  async (variable, value, wish) => {
    await using folder = await temporary();
    vi.stubEnv('TMPDIR', folder.path);
    vi.stubEnv('LABS_SERVICES', wish);
    vi.stubEnv(variable, value);
    const { error } = await failure(startRedis({ cluster: 6 }));
    expect(error).toBeInstanceOf(MissingServerError);
    expect(error).toMatchObject({ service: 'redis', exitCode: 3 });
    expect(error.message).toContain(`Unset ${variable}`);
    expect(error.message).not.toContain('secret');
    expect(await readdir(folder.path)).toEqual([]);
  },
);

test('a node’s port and that of its bus are both free, and below those that outgoing connections take', async () => {
  const port = await freePort({ and: 10_000 });
  expect([await listens(port), await listens(port + 10_000)]).toEqual([false, false]);
  expect(port + 10_000).toBeLessThan(32_000);
});
