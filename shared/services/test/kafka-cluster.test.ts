import { describeWith } from '@shared/testkit';
import { afterEach, expect, test, vi } from 'vitest';
import { type KafkaServers, startKafka } from '../src/index.ts';
import { metadata } from '../src/kafka-wire.ts';
import { answers, create, partition, receive, send } from './kafka-client.ts';
import { until } from './support.ts';

// JVMs: three start in 3 s alone on two cores, and take a multiple of it beside other work.
const SLOW = 120_000;

afterEach(() => {
  vi.unstubAllEnvs();
});

const broker = (servers: KafkaServers, id: number) => {
  const found = servers.brokers.find((one) => one.id === id);
  if (found === undefined) throw new Error(`there is no broker ${id}`);
  return found;
};

await describeWith('three brokers', { three: () => startKafka({ brokers: 3 }) }, ({ three }) => {
  test('know each other, and are announced as three', { timeout: SLOW }, async () => {
    expect(three.banner).toMatch(/^kafka ×3: embedded 4\.\d+\.\d+, JRE \d+/);
    for (const node of three.brokers) {
      const said = await metadata(node, { timeoutMs: 3000 });
      expect(said.brokers.map(({ id }) => id).sort()).toEqual([0, 1, 2]);
    }
  });

  test('seen through their networks hand out no address that leads past them', { timeout: SLOW }, async () => {
    await create(three.bootstrap, 'through');
    const networks = await Promise.all(three.brokers.map((node) => node.proxy()));
    const said = await metadata({ host: '127.0.0.1', port: networks[0]?.port ?? 0 }, { timeoutMs: 3000 });
    expect(said.brokers.map(({ port }) => port).sort()).toEqual(networks.map(({ port }) => port).sort());
    const { leader } = await partition(three.bootstrap, 'through');
    const bootstrap = networks.map((network) => new URL(network.url).host);
    await send(bootstrap, 'through', 'first');
    {
      await using cut = await broker(three, leader).proxy();
      cut.partition();
      const at = { host: '127.0.0.1', port: cut.port };
      await expect(metadata(at, { timeoutMs: 300 })).rejects.toThrow('no answer within 300 ms');
      expect(await answers(broker(three, leader))).toBe(true);
    }
    await send(bootstrap, 'through', 'second');
  });

  test('named by one address are known to be three', async () => {
    vi.stubEnv('LABS_SERVICES', undefined);
    vi.stubEnv('KAFKA_BROKERS', `127.0.0.1:1, ${three.bootstrap[1]}`);
    await using users = await startKafka({ brokers: 3 });
    expect(users.brokers.map(({ port }) => port).sort()).toEqual(three.brokers.map(({ port }) => port).sort());
    expect(users.bootstrap).toEqual(['127.0.0.1:1', three.bootstrap[1]]);
  });

  test('choose a new leader when the leader is killed, and lose nothing when all are', { timeout: SLOW }, async () => {
    await create(three.bootstrap, 'safe');
    await send(three.bootstrap, 'safe', 'before');
    const { leader, replicas } = await partition(three.bootstrap, 'safe');
    expect([...replicas].sort()).toEqual([0, 1, 2]);
    await broker(three, leader).kill();
    const alive = three.brokers.filter(({ state }) => state === 'up').map(({ host, port }) => `${host}:${port}`);
    const another = async () => ![leader, -1].includes((await partition(alive, 'safe')).leader);
    await until('another leader', another, 30_000);
    await until('a write to two of three', () => send(alive, 'safe', 'after').then(() => true), 30_000);

    await Promise.all(three.brokers.map((node) => node.kill()));
    // The first has no majority to join; the others wait for one.
    const [first, ...others] = three.brokers;
    await first.restart();
    expect([first.state, await answers(first)]).toEqual(['up', false]);
    await Promise.all(others.map((node) => node.restart()));
    await until('the first answers', () => answers(first), 30_000);
    // It knows its topics once it has caught up with the controller.
    let kept: string | undefined;
    const read = async () => {
      kept = await receive(three.bootstrap, 'safe');
      return true;
    };
    await until('the topic to be known again', read, 30_000);
    expect(kept).toBe('before');
  });
});
