import { startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { until } from '@shared/testkit';
import { Redis, ReplyError } from 'ioredis';
import { ClusterRouter as Forgetful } from './pitfalls/map-for-ever.ts';
import { planMoves as byModulo } from './pitfalls/modulo.ts';
import {
  bySlot,
  ClusterRouter,
  CrossSlotError,
  keySlot,
  OutcomeUnknownError,
  planMoves,
  reshard,
  SLOTS,
  SlotUnavailableError,
  taggedKey,
  UnderReplicatedError,
} from './src/index.ts';

const ms = (value: number) => `${value.toFixed(0)} ms`;
const percent = (part: number, of: number) => `${((100 * part) / of).toFixed(0)} %`;
/** Which of these errors came, and how often others did. */
const outcomes = async (calls: Promise<unknown>[]) => {
  const results = await Promise.allSettled(calls);
  return results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
};

const options = {
  title: 'Redis Cluster 分布式缓存（Redis 集群）',
  subtitle: 'Double Eleven at the parcel warehouse: three halls, a fourth one opens, one burns down',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  const redis = await story.use(startRedis({ cluster: 6 }));
  const addresses = redis.nodes.map(({ host, port }) => `${host}:${port}`);
  using bin = new DisposableStack();
  const admins = redis.nodes.map(({ url }) => {
    const admin = bin.adopt(new Redis(url, { retryStrategy: () => 50 }), (it) => it.disconnect());
    admin.on('error', () => {});
    return admin;
  });
  const [a, , , b, c] = admins;
  if (!a || !b || !c) throw new Error('six nodes');
  const routed = () => bin.use(new ClusterRouter(addresses, { timeoutMs: 10_000 }));
  const router = routed();
  /** How often nodes have answered so. */
  const answered = async (what: 'MOVED' | 'ASK') => {
    const texts = await Promise.all(admins.slice(0, 3).map((admin) => admin.info('errorstats')));
    const counts = texts.map((text) => Number(new RegExp(`errorstat_${what}:count=(\\d+)`).exec(text)?.[1] ?? 0));
    return counts.reduce((sum, count) => sum + count, 0);
  };
  const parcels = Array.from({ length: 20_000 }, (_, n) => `parcel:${n}`);
  /** Tags of slots that the n-th third of the cluster has. */
  const tagsOf = (third: number, count: number) =>
    parcels.filter((key) => Math.floor((keySlot(key) * 3) / SLOTS) === third).slice(0, count);
  // For the fire: hall A gets a second copy, which takes its time.
  await c.cluster('REPLICATE', redis.nodes[0].id);

  await story.scene('A fourth hall opens', async () => {
    story.say(
      '20,000 parcels, three halls: a checksum of the number, **% 3**. Then a fourth hall opens, and it is **% 4**.',
    );
    const halls = ['A', 'B', 'C', 'D'];
    const moving = (plan: typeof planMoves, before: (slot: number) => string) => {
      const owners = Array.from({ length: SLOTS }, (_, slot) => before(slot));
      const moves = new Map(plan(owners, halls).map(({ slot, to }) => [slot, to]));
      const moved = parcels.map((key) => moves.get(keySlot(key))).filter((to) => to !== undefined);
      return { moved: moved.length, between: moved.filter((to) => to !== 'D').length };
    };
    const naive = moving(byModulo, (slot) => halls[slot % 3] ?? '');
    const slots = moving(planMoves, (slot) => halls[Math.floor((slot * 3) / SLOTS)] ?? '');
    story.bars({
      title: 'Parcels that have to move when the fourth hall opens',
      unit: '%',
      items: [
        { label: 'hash % N', value: Math.round((100 * naive.moved) / parcels.length), tone: 'bad' },
        { label: '16,384 slots', value: Math.round((100 * slots.moved) / parcels.length), tone: 'good' },
      ],
    });
    story.verdict(
      'hash % N carries parcels from old hall to old hall: a cache forgets them all at once',
      `${percent(naive.moved, parcels.length)} move, ${naive.between} of them between old halls`,
      naive.moved > parcels.length * 0.7 && naive.between > 0,
    );
    story.verdict(
      'With slots only the share of the new hall moves',
      `${percent(slots.moved, parcels.length)} move, ${slots.between} between old halls`,
      slots.moved < parcels.length * 0.3 && slots.between === 0,
    );
  });

  await story.scene('Which hall has my parcel, and what if it moves just now', async () => {
    const some = parcels.slice(0, 300);
    const refused = await outcomes(some.map((key) => a.set(key, 'here')));
    const moved = refused.filter((error) => error instanceof ReplyError && /^MOVED /.test(error.message)).length;
    story.verdict(
      'Who asks at one hall only is sent away: MOVED',
      `${moved} of ${some.length} parcels, ${refused.length - moved} other errors`,
      moved > some.length / 2 && moved === refused.length,
    );
    const routedErrors = await outcomes(some.map((key) => router.call('SET', [key, 'here'])));
    story.verdict(
      'A router with a map asks at the right one',
      `${routedErrors.length} refused`,
      routedErrors.length === 0,
    );

    story.say('Now ten slots of hall A move to hall B, with customers at the counter all the while.');
    const forgetful = bin.use(new Forgetful(addresses));
    const tags = tagsOf(0, 10);
    const counters = tags.flatMap((tag) => Array.from({ length: 20 }, (_, n) => `{${tag}}${n}`));
    await forgetful.mgetAcross(counters);
    const asksBefore = await answered('ASK');
    const done = new Map<string, number>();
    let over = false;
    const customers = Promise.all(
      Array.from({ length: 8 }, async (_, customer) => {
        for (let n = customer; !over || n < 400; n++) {
          const key = counters[n % counters.length] ?? '';
          await router.call('INCR', [key]);
          done.set(key, (done.get(key) ?? 0) + 1);
        }
      }),
    );
    await until(() => done.size === counters.length);
    const start = performance.now();
    for (const tag of tags) await reshard(router, keySlot(tag), addresses[1] ?? '', { batch: 2 });
    const took = performance.now() - start;
    over = true;
    await customers;
    const values = await router.mgetAcross(counters);
    const wrong = counters.filter((key, index) => Number(values[index]) !== done.get(key)).length;
    const total = [...done.values()].reduce((sum, count) => sum + count, 0);
    const asks = (await answered('ASK')) - asksBefore;
    story.verdict(
      'Ten slots have moved under traffic, and nothing was lost or counted twice',
      `${total} increments in ${ms(took)}, ASK ${asks} times, ${wrong} of ${counters.length} counters wrong`,
      wrong === 0 && asks > 0,
    );
    story.code('src/router.ts', { from: 'if (kind === ', to: 'this.map.note' });
    const paid = async (client: ClusterRouter) => {
      const before = await answered('MOVED');
      for (let n = 0; n < 100; n++) await client.call('GET', [counters[0] ?? '']);
      return (await answered('MOVED')) - before;
    };
    const [forgot, learnt] = [await paid(forgetful), await paid(router)];
    story.verdict(
      'A client that keeps its old map pays twice for every command; one that learns, once',
      `100 reads: ${forgot} MOVED against ${learnt}`,
      forgot === 100 && learnt <= 1,
    );
  });

  await story.scene('All parcels of one customer', async () => {
    const items = Array.from({ length: 12 }, (_, n) => `138:item${n}`);
    const crossed = await router.call('MGET', items).catch((error: unknown) => error);
    story.verdict(
      'One MGET over several slots is refused',
      crossed instanceof CrossSlotError
        ? `12 keys in ${new Set(crossed.slots).size} slots: CROSSSLOT`
        : String(crossed),
      crossed instanceof CrossSlotError,
    );
    await router.msetAcross(items.map((key) => [key, 'x']));
    const found = (await router.mgetAcross(items)).filter((value) => value === 'x').length;
    const tagged = items.map((_, n) => taggedKey('138', `item${n}`));
    await router.call(
      'MSET',
      tagged.flatMap((key) => [key, 'x']),
    );
    story.table({
      columns: ['12 items, read', 'commands', 'found', 'at one moment?'],
      rows: [
        ['slot by slot: mgetAcross', bySlot(items).size, found, 'no'],
        [
          'one hash tag: {138}:item0 …',
          bySlot(tagged).size,
          (await router.mgetAcross(tagged)).filter((value) => value === 'x').length,
          'yes, and in a script or MULTI',
        ],
      ],
    });
    story.say(
      'A script must say which keys it touches. This one has a second key in its text, `total:<n>`, and hides it.',
    );
    const hidden = "redis.call('INCR', KEYS[1]); return redis.call('INCR', ARGV[1])";
    const tries = parcels
      .slice(0, 60)
      .map((key, n) => router.call('EVAL', [hidden, 1, `script:${key}`, `total:${n * 7_919}`]));
    const errors = await outcomes(tries);
    story.verdict(
      'A key that a script hides works where both are in one hall by chance',
      `${errors.length} of 60 failed, with the first INCR done`,
      errors.length > 20 && errors.length < 60,
    );
  });

  await story.scene('Hall A burns down, and what "OK" was worth', async () => {
    await until(async () => /slave0:.*state=online[\s\S]*slave1:.*state=online/.test(await a.info('replication')), {
      timeoutMs: 20_000,
      what: 'two copies of hall A',
    });
    story.say(
      'Hall A has two copies, at B and at C. 100 parcels are noted each way, while one copy after the other falls behind.',
    );
    const [tag] = tagsOf(0, 30).slice(-1);
    const keys = (batch: string) => Array.from({ length: 100 }, (_, n) => `{${tag}}${batch}${n}`);
    const noted: { said: string; keys: string[]; told: number }[] = [];
    const confirmed = async (said: string, batch: string, replicas: number) => {
      const calls = keys(batch).map((key) =>
        router.waitReplicated('SET', [key, 'noted'], { replicas, withinMs: 3_000 }),
      );
      noted.push({ said, keys: keys(batch), told: 100 - (await outcomes(calls)).length });
    };
    const behind = async (index: 3 | 4) => {
      await redis.nodes[index].pause();
      await a.call('CLIENT', 'KILL', 'TYPE', 'replica');
    };
    await confirmed('OK, and both copies have it (WAIT 2)', 'both', 2);
    await behind(4);
    await confirmed('OK, and one copy has it (WAIT 1)', 'one', 1);
    await behind(3);
    const plain = await outcomes(keys('none').map((key) => router.call('SET', [key, 'noted'])));
    noted.push({ said: 'OK', keys: keys('none'), told: 100 - plain.length });
    const alone = await router
      .waitReplicated('SET', [`{${tag}}alone`, 'x'], { replicas: 1, withinMs: 50 })
      .catch((error: unknown) => error);
    const done = [0, 0];
    const history: { at: number; shard: 0 | 1 }[] = [];
    const start = performance.now();
    let over = false;
    const clients = ([0, 1] as const).map(async (shard) => {
      const key = `{${shard === 0 ? tag : tagsOf(2, 1)[0]}}busy`;
      while (!over) {
        await router.call('INCR', [key]).catch((error: unknown) => {
          if (!(error instanceof OutcomeUnknownError)) throw error;
        });
        done[shard] = (done[shard] ?? 0) + 1;
        history.push({ at: performance.now() - start, shard });
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    });
    await until(() => Math.min(...done) > 50);
    await redis.nodes[0].kill();
    const killed = performance.now() - start;
    await redis.nodes[4].resume();
    const seen = done[0] ?? 0;
    await until(() => (done[0] ?? 0) > seen + 50, { timeoutMs: 20_000, what: 'a copy to take over' });
    over = true;
    await Promise.all(clients);
    const [back] = history.filter(({ at, shard }) => shard === 0 && at > killed + 100);
    const outage = (back?.at ?? Number.NaN) - killed;
    /** Writes that follow each other within 300 ms are one span of service. */
    const served = (shard: 0 | 1) => {
      const spans: { from: number; to: number; tone: 'good' }[] = [];
      for (const { at } of history.filter((each) => each.shard === shard)) {
        const open = spans.at(-1);
        if (open && at - open.to < 300) open.to = at;
        else spans.push({ from: at, to: at, tone: 'good' });
      }
      return spans;
    };
    const paused = served(1).reduce((sum, { from }, index, all) => sum + from - (all[index - 1]?.to ?? from), 0);
    story.timeline({
      title: 'Whose parcels could be noted',
      unit: 'ms',
      lanes: [
        {
          label: 'slots of hall A',
          spans: [...served(0), { from: killed, to: killed + outage, label: 'A has burnt down', tone: 'bad' }],
        },
        { label: 'slots of hall C', spans: served(1) },
      ],
      picture: true,
    });
    story.say(
      `Hall C, which is well, stood still for ${ms(paused)} of it: unless \`cluster-require-full-coverage\` is \`no\`, nobody ` +
        'serves while a slot is known to have no hall.',
    );
    story.verdict('A copy takes over by itself', `${ms(outage)} without the slots of A`, outage < 15_000);
    const left = await Promise.all(
      noted.map(async (batch) => ({
        ...batch,
        left: (await router.mgetAcross(batch.keys)).filter((value) => value === 'noted').length,
      })),
    );
    story.table({
      columns: ['what the customer was told', 'parcels', 'still noted'],
      rows: left.map(({ said, told, left }) => [said, told, left]),
    });
    const [both, one, none] = left.map(({ told, left }) => told - left);
    story.verdict('Writes that were acknowledged are gone', `${none} of 100 with a plain OK`, (none ?? 0) > 0);
    story.verdict(
      'WAIT 1 counts copies; it does not choose the one that takes over',
      `${one} of 100 lost with the copy that had them, ${both} of 100 that both had`,
      (one ?? 0) > 0 && both === 0,
    );
    story.verdict(
      'When WAIT says 0 the write is done all the same: an error, and no undo',
      alone instanceof UnderReplicatedError ? `reply ${alone.reply}, ${alone.replicas} copies` : String(alone),
      alone instanceof UnderReplicatedError && alone.reply === 'OK',
    );
  });

  await story.scene('One hall alone is no majority', async () => {
    story.say('The lines to two of three halls are cut (both hang). Hall C is well, and does not know who is left.');
    const lonely = bin.use(new ClusterRouter([addresses[2] ?? ''], { timeoutMs: 100, silentMs: 300 }));
    const key = `{${tagsOf(2, 1)[0]}}alone`;
    await lonely.call('INCR', [key]);
    await Promise.all([redis.nodes[1].pause(), redis.nodes[4].pause()]);
    const cut = performance.now();
    let accepted = 0;
    const refusal = await until(
      () =>
        lonely.call('INCR', [key]).then(
          () => ++accepted && undefined,
          (error: unknown) => error,
        ),
      { timeoutMs: 20_000, intervalMs: 10, what: 'hall C to stop' },
    );
    const after = performance.now() - cut;
    await Promise.all([redis.nodes[1].resume(), redis.nodes[4].resume()]);
    story.verdict(
      'It stops by itself: CLUSTERDOWN',
      `after ${ms(after)}; ${accepted} writes accepted until then, which the others might never see`,
      refusal instanceof SlotUnavailableError && accepted > 0,
    );
    await until(() => lonely.call('GET', [key]), { timeoutMs: 20_000, what: 'hall C to serve again' });
    story.say('A lock, a balance, a stock: not where a failover may forget it. A cache: yes, this is what it is for.');
  });
});
