import { startRedis } from '@shared/services';
import { describeWith, until } from '@shared/testkit';
import { Redis } from 'ioredis';
import { afterAll, expect, test } from 'vitest';
import { ClusterRouter, keySlot, OutcomeUnknownError, SlotUnavailableError, UnderReplicatedError } from '#lab';

await describeWith('failover', { redis: () => startRedis({ cluster: 6 }) }, ({ redis }) => {
  const addresses = redis.nodes.map(({ host, port }) => `${host}:${port}`);
  const admins = redis.nodes.map(({ url }) => new Redis(url, { retryStrategy: () => 50 }));
  for (const admin of admins) admin.on('error', () => {});
  afterAll(() => {
    for (const admin of admins) admin.disconnect();
  });
  /** A tag of these slots: at first nodes[0] has those up to 5460, nodes[2] those from 10923. */
  const tagIn = (from: number, to: number) => {
    const tags = Array.from({ length: 200 }, (_, n) => `tag${n}`);
    return tags.find((tag) => keySlot(tag) >= from && keySlot(tag) < to) ?? '';
  };

  test('through a failover nothing is done twice, and nothing is lost that a replica has confirmed', async () => {
    using router = new ClusterRouter(addresses.slice(1, 3), { timeoutMs: 8_000 });
    const tag = tagIn(0, 5_000);
    const [set, counter] = [`{${tag}}set`, `{${tag}}counter`];
    const said = { confirmed: new Set<string>(), refused: new Set<string>() };
    const count = { done: 0, unknown: 0 };
    let over = false;
    const write = async (worker: number) => {
      for (let n = 0; !over; n++) {
        const id = `${worker}.${n}`;
        try {
          await router.waitReplicated('SADD', [set, id], { replicas: 1, withinMs: 100 });
          said.confirmed.add(id);
        } catch (error) {
          if (error instanceof SlotUnavailableError) said.refused.add(id);
          else if (!(error instanceof OutcomeUnknownError || error instanceof UnderReplicatedError)) throw error;
        }
      }
    };
    const increment = async () => {
      while (!over) {
        try {
          await router.call('INCR', [counter]);
          count.done++;
        } catch (error) {
          if (!(error instanceof OutcomeUnknownError)) throw error;
          count.unknown++;
        }
      }
    };
    const clients = Promise.all([write(1), write(2), increment(), increment()]);
    // Whose client breaks need not be waited for.
    const meanwhile = (probe: () => boolean, what: string) =>
      Promise.race([until(probe, { what, timeoutMs: 10_000 }), clients]);
    await meanwhile(() => said.confirmed.size > 50 && count.done > 50, 'work to be done');
    await redis.nodes[0].kill();
    const before = count.done;
    // Elections take seconds; a replica that is told to doesn't ask.
    await admins[3]?.cluster('FAILOVER', 'TAKEOVER');
    await meanwhile(() => count.done > before + 50, 'work to go on at the replica');
    over = true;
    await clients;
    const kept = new Set(await admins[3]?.smembers(set));
    expect(
      [...said.confirmed].filter((id) => !kept.has(id)),
      'confirmed by a replica, and lost',
    ).toEqual([]);
    expect(
      [...said.refused].filter((id) => kept.has(id)),
      'said to be not carried out, and there',
    ).toEqual([]);
    const total = Number(await admins[3]?.get(counter));
    expect(total, `increments, of ${count.done} done and ${count.unknown} unknown`).toBeLessThanOrEqual(
      count.done + count.unknown,
    );
  });

  test('a primary that sees no majority stops, and a call says in time that it was not carried out', async () => {
    using router = new ClusterRouter(addresses, { timeoutMs: 500 });
    const mine = tagIn(11_000, 16_384);
    await router.call('SET', [mine, '1']);
    await Promise.all([1, 3, 4].map((index) => redis.nodes[index]?.kill()));
    await until(async () => String(await admins[2]?.cluster('INFO')).includes('cluster_state:fail'), {
      what: 'nodes[2] to see that it is alone',
      timeoutMs: 15_000,
    });
    const error = await router.call('INCR', [mine]).catch((it: unknown) => it);
    expect(error).toBeInstanceOf(SlotUnavailableError);
    expect(error).toMatchObject({ cause: { message: expect.stringMatching(/^CLUSTERDOWN/) } });
  });
});
