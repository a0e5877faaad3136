import { setTimeout as delay } from 'node:timers/promises';
import { startPostgres, startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { until } from '@shared/testkit';
import { Pool } from 'pg';
import { SharedBloom as EmptyMeansAbsent } from './pitfalls/empty-means-absent.ts';
import { insertRow as addAfterCommit } from './pitfalls/filled-after-commit.ts';
import { MissGuard as TwoCommands } from './pitfalls/incr-then-expire.ts';
import { SharedBloom as RebuiltInPlace } from './pitfalls/rebuilt-in-place.ts';
import { LookupCache as Unfenced } from './pitfalls/unfenced-marker.ts';
import {
  BannedError,
  bloomShape,
  type Cache,
  compose,
  connectRedis,
  type Filter,
  insertRow,
  type Layer,
  LocalBloom,
  LookupCache,
  MissGuard,
  predictedFpp,
  protect,
  SharedBloom,
} from './src/index.ts';

const CALLS = 2_000;
const PARCELS = 2_000;
const NULL_TTL = 400;
const percent = (share: number) => `${(share * 100).toFixed(2)} %`;
const kb = (bytes: number) => `${(bytes / 1_024).toFixed(0)} KB`;
const right = (label: string) => ({ label, align: 'right' as const });

const options = {
  title: 'Cache penetration 缓存穿透',
  subtitle: 'The parcel station, and the callers who ask for parcels that were never sent',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  const { nodes, namespace } = await story.use(startRedis());
  const pg = await story.use(startPostgres());
  await using bin = new AsyncDisposableStack();
  const connect = () => bin.adopt(connectRedis(nodes[0].url, { timeoutMs: 5_000 }), (it) => it.disconnect());
  const redis = connect();
  const admin = bin.adopt(new Pool({ connectionString: pg.url }), (it) => it.end());
  const setUp = new Pool({ connectionString: pg.url });
  await setUp.query(`CREATE TABLE parcel (id text PRIMARY KEY, shelf int NOT NULL);
    INSERT INTO parcel SELECT 'SF' || n, n % 90 FROM generate_series(1, ${PARCELS}) n`);
  await setUp.end();
  let prefixes = 0;
  const fresh = () => `${namespace}${++prefixes}:`;
  const known = () => `SF${1 + Math.floor(story.random() * PARCELS)}`;
  const stranger = () => `SF${1e9 + Math.floor(story.random() * 1e9)}`;
  async function* parcels() {
    for (const { id } of (await admin.query<{ id: string }>('SELECT id FROM parcel')).rows) yield id;
  }
  /** A walk into the warehouse: a look into the table, and a millisecond, as from a disk. */
  const find = (pool: Pool, id: string) => async () => {
    const sql = 'SELECT (SELECT shelf FROM parcel WHERE id = $1) AS shelf, pg_sleep(0.001)';
    return (await pool.query<{ shelf: number | null }>(sql, [id])).rows[0]?.shelf ?? null;
  };
  /** What Postgres itself has counted: how often somebody looked into the table. A connection tells when it ends. */
  const statistics = async () => {
    const sql = `SELECT seq_scan + coalesce(idx_scan, 0) AS looks, n_tup_ins AS rows FROM pg_stat_user_tables WHERE relname = 'parcel'`;
    const [found] = (await admin.query<{ looks: string; rows: string }>(sql)).rows;
    return { looks: Number(found?.looks), rows: Number(found?.rows) };
  };
  const bytes = async (prefix: string) => {
    const keys = await redis.keys(`${prefix}*`);
    const sizes = await Promise.all(keys.map((key) => redis.memory('USAGE', key)));
    return sizes.reduce<number>((sum, size) => sum + Number(size ?? 0), 0);
  };

  interface Outcome {
    readonly name: string;
    readonly queries: number;
    /** The customers' queries too. */
    readonly allQueries: number;
    readonly p99: number;
    readonly redisBytes: number;
    readonly banned: number;
  }
  const outcomes: Outcome[] = [];
  /** 2,000 nuisance calls on 32 lines, while four customers ask for parcels that exist. One pool of four connections. */
  const attack = async (
    name: string,
    prefix: string,
    station: (client: string) => Cache,
    next: (call: number) => { id: string; from: string } = () => ({ id: stranger(), from: '203.0.113.7' }),
    calls = CALLS,
  ): Promise<Outcome> => {
    const pool = new Pool({ connectionString: pg.url, max: 4 });
    const count = { nuisance: 0, customers: 0, banned: 0, calls: 0 };
    let ringing = true;
    const waits: number[] = [];
    const customer = async (number: number) => {
      const counter = station(`198.51.100.${number}`);
      while (ringing || waits.length < 400) {
        const id = known();
        const start = performance.now();
        await counter.read(id, () => {
          count.customers++;
          return find(pool, id)();
        });
        waits.push(performance.now() - start);
        await delay(1);
      }
    };
    const line = async () => {
      while (count.calls < calls) {
        const { id, from } = next(count.calls++);
        const load = () => {
          count.nuisance++;
          return find(pool, id)();
        };
        await station(from)
          .read(id, load)
          .catch((error: unknown) => {
            if (!(error instanceof BannedError)) throw error;
            count.banned++;
          });
      }
    };
    const customers = [1, 2, 3, 4].map(customer);
    await Promise.all(Array.from({ length: 32 }, line));
    ringing = false;
    await Promise.all(customers);
    await pool.end();
    const redisBytes = await bytes(prefix);
    waits.sort((a, b) => a - b);
    const p99 = waits[Math.floor(waits.length * 0.99)] ?? 0;
    const outcome = {
      name,
      queries: count.nuisance,
      allQueries: count.nuisance + count.customers,
      p99,
      redisBytes,
      banned: count.banned,
    };
    outcomes.push(outcome);
    return outcome;
  };
  const cacheOf = (prefix: string) => new LookupCache(redis, { prefix, ttlMs: 60_000, nullTtlMs: 30_000 });
  const filterOf = async (prefix: string) => {
    const filter = new SharedBloom(redis, { capacity: PARCELS, name: 'parcels', prefix });
    await filter.rebuild(parcels());
    return filter;
  };

  await story.scene('Two thousand calls about parcels that were never sent', async () => {
    story.say(
      'The front desk has a cache: what the warehouse has answered is kept. Of a parcel that does not exist there is nothing to keep. A walk into the warehouse takes a millisecond, and four can walk at once.',
    );
    const prefix = fresh();
    const valuesOnly: Layer = {
      async read(key, load, next) {
        const text = await redis.get(prefix + key);
        if (text !== null) return { value: JSON.parse(text), source: 'hit', ageMs: 0 };
        const read = await next(key, load);
        if (read.value !== null) await redis.set(prefix + key, JSON.stringify(read.value), 'PX', 60_000);
        return read;
      },
    };
    const desk = compose(valuesOnly);
    await attack('nobody calls', prefix, () => desk, undefined, 0);
    await until(async () => (await statistics()).rows === PARCELS, { what: 'the statistics of the set-up' });
    const { looks } = await statistics();
    const { queries, allQueries } = await attack('a cache of values', prefix, () => desk);
    story.verdict(
      'Every call goes through the cache to the warehouse',
      `${queries} queries for ${CALLS} calls`,
      queries === CALLS,
    );
    await until(async () => (await statistics()).looks - looks >= allQueries, { what: 'the statistics of the attack' });
    const counted = (await statistics()).looks - looks;
    story.verdict(
      'Postgres has counted the same',
      `${counted} looks into the table, ${allQueries - queries} of them for customers`,
      counted === allQueries,
    );
  });

  let hides = '';
  await story.scene('"No such parcel", noted down for a while', async () => {
    story.say('A null marker: the news that there is nothing is cached too, with a short TTL.');
    story.code('src/lookup.ts', { from: "if (redis.call('GET', KEYS[2])", to: 'return 1' });
    const [one, two] = [fresh(), fresh()];
    const few = Array.from({ length: 60 }, stranger);
    const same = await attack(
      'markers, 60 ids',
      one,
      () => protect({ cache: cacheOf(one) }),
      (call) => ({ id: few[call % 60] ?? '', from: '203.0.113.7' }),
    );
    story.verdict(
      'Whoever asks for the same 60 again and again gets no further',
      `${same.queries} queries`,
      same.queries < 150,
    );
    const random = await attack('markers, random ids', two, () => protect({ cache: cacheOf(two) }));
    story.verdict(
      'Whoever asks for random ones does, and fills Redis besides',
      `${random.queries} queries, ${kb(random.redisBytes)} in Redis`,
      random.queries === CALLS && random.redisBytes > 100_000,
    );
    story.say(
      'A marker can also lie: a reader finds nothing, the parcel arrives, the reader notes that there is nothing.',
    );
    const hidden = async (Lookup: typeof LookupCache) => {
      const cache = new Lookup(redis, { prefix: fresh(), ttlMs: 60_000, nullTtlMs: NULL_TTL });
      const [asked, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<null>()];
      const reading = cache.lookup('SF-new', () => {
        asked.resolve();
        return answer.promise;
      });
      await asked.promise;
      await insertRow({ cache }, 'SF-new', async () => 'committed');
      const committed = performance.now();
      answer.resolve(null);
      await reading;
      let denied = 0;
      await until(
        async () => {
          const found = await cache.lookup('SF-new', async () => 'here');
          if (!found) denied = performance.now() - committed;
          return found;
        },
        { intervalMs: 1 },
      );
      return denied;
    };
    const [lie, fenced] = [await hidden(Unfenced), await hidden(LookupCache)];
    hides = `${lie.toFixed(0)} ms, fenced ${fenced.toFixed(0)} ms`;
    story.verdict(
      'Stored without a look at the generation it hides the parcel for its TTL; with one, it is not stored',
      `hidden for ${lie.toFixed(0)} ms, and for ${fenced.toFixed(0)} ms`,
      lie > NULL_TTL / 2 && fenced === 0,
    );
  });

  await story.scene('A doorman with a list', async () => {
    const shape = bloomShape(PARCELS, 0.01);
    story.say(
      `A Bloom filter for ${PARCELS} parcels and 1 % of strangers let in: ${shape.bits} bits, ${kb(shape.bits / 8)}, ${shape.hashes} of them for each parcel.`,
    );
    const filter = new LocalBloom({ capacity: PARCELS });
    await filter.rebuild([]);
    const measured: [number, number][] = [];
    const predicted: [number, number][] = [];
    for (let ids = 0; ids <= 2 * PARCELS; ids += PARCELS / 4) {
      if (ids > 0) await filter.add(...Array.from({ length: PARCELS / 4 }, (_, n) => `parcel ${ids} ${n}`));
      const passed = Array.from({ length: 10_000 }, (_, n) => filter.has(`stranger ${n}`)).filter(Boolean).length;
      measured.push([ids, passed / 100]);
      predicted.push([ids, predictedFpp(shape, ids) * 100]);
    }
    story.lines({
      title: 'Strangers let in, as the list fills up and overflows',
      x: { label: 'parcels in the filter' },
      y: { label: '%' },
      series: [
        { label: 'measured', points: measured, tone: 'accent' },
        { label: 'predicted', points: predicted, tone: 'muted' },
      ],
    });
    const full = measured.find(([ids]) => ids === PARCELS)?.[1] ?? 0;
    const expected = predictedFpp(shape, PARCELS) * 100;
    story.verdict(
      'Full, it lets in what the formula says',
      `${full.toFixed(2)} %, predicted ${expected.toFixed(2)} %`,
      full <= 1.5 * expected,
    );
    const prefix = fresh();
    const shared = await filterOf(prefix);
    const { queries, redisBytes } = await attack('a filter in Redis', prefix, () =>
      protect({ filter: shared, cache: cacheOf(prefix) }),
    );
    story.verdict(
      'Of the random calls about one in a hundred gets to the warehouse',
      `${queries} queries for ${CALLS} calls`,
      queries < CALLS * 0.03,
    );
    story.say(`With the list itself and what the customers asked for that makes ${kb(redisBytes)} in Redis.`);
    await redis.unlink(...(await redis.keys(`${prefix}bloom*`)));
    const sample = Array.from({ length: 200 }, known);
    const refusals = async (of: Filter) =>
      (await Promise.all(sample.map((id) => of.mayContain(id)))).filter((yes) => !yes).length;
    const closed = await refusals(new EmptyMeansAbsent(redis, { capacity: PARCELS, name: 'parcels', prefix }));
    const open = await refusals(shared);
    story.verdict(
      'Redis has lost the list: a doorman who then says no turns away everybody, ours lets them in',
      `${closed} and ${open} of 200 customers turned away`,
      closed === 200 && open === 0,
    );
  });

  await story.scene('New parcels arrive, and the list is written anew', async () => {
    const prefix = fresh();
    const filter = await filterOf(prefix);
    const cache = cacheOf(prefix);
    let parcel = 0;
    const askedAtTheCommit = async (insert: typeof insertRow) => {
      let denied = 0;
      for (let n = 0; n < 50; n++) {
        const id = `SF-arrived-${++parcel}`;
        await insert({ filter, cache }, id, async () => {
          await admin.query('INSERT INTO parcel VALUES ($1, 1)', [id]);
          if ((await protect({ filter, cache }).read(id, find(admin, id))).value === null) denied++;
        });
      }
      return denied;
    };
    const [after, before] = [await askedAtTheCommit(addAfterCommit), await askedAtTheCommit(insertRow)];
    story.verdict(
      'Onto the list after the commit is too late, before it is not',
      `${after} and ${before} of 50 new parcels denied at the moment of the commit`,
      after > 40 && before === 0,
    );
    const whileRebuilt = async (Bloom: typeof SharedBloom) => {
      const doorman = new Bloom(redis, { capacity: PARCELS, name: 'parcels', prefix: fresh(), pendingMs: 0 });
      await doorman.rebuild(parcels());
      let [denied, asked] = [0, 0];
      const slowly = async function* () {
        for await (const id of parcels()) {
          if (asked < 100 && story.random() < 0.1) {
            asked++;
            if (!(await doorman.mayContain(known()))) denied++;
          }
          yield id;
        }
      };
      await doorman.rebuild(slowly());
      return { denied, asked };
    };
    const [inPlace, beside] = [await whileRebuilt(RebuiltInPlace), await whileRebuilt(SharedBloom)];
    story.verdict(
      'Wiped and written again it turns customers away meanwhile; beside the old one, it does not',
      `${inPlace.denied} of ${inPlace.asked}, and ${beside.denied} of ${beside.asked}`,
      inPlace.denied > 0 && beside.denied === 0,
    );
    const [here, there] = [new LocalBloom({ capacity: PARCELS }), new LocalBloom({ capacity: PARCELS })];
    await Promise.all([here, there].map((local) => local.rebuild(parcels())));
    await here.add('SF-from-the-other-desk');
    const [mine, theirs] = [here.has('SF-from-the-other-desk'), there.has('SF-from-the-other-desk')];
    story.verdict(
      'A list in the memory of one process does not hear of what the others add',
      `known at its own desk: ${mine}, at the other: ${theirs}`,
      mine && !theirs,
    );
  });

  await story.scene('A hundred misses in a minute: ring off', async () => {
    const prefix = fresh();
    const guard = new MissGuard(redis, { prefix });
    story.code('src/guard.ts', { from: 'if misses < limit then', to: 'PTTL' });
    const three = (call: number) => ({ id: stranger(), from: `203.0.113.${call % 3}` });
    const caught = await attack(
      'a ban, 3 addresses',
      prefix,
      (client) => protect({ guard, cache: cacheOf(prefix) }, client),
      three,
    );
    story.verdict(
      'Three callers get a hundred answers each, and those that were under way',
      `${caught.queries} queries, ${caught.banned} calls refused`,
      caught.queries >= 300 && caught.queries < 400,
    );
    const many = fresh();
    const crowd = new MissGuard(redis, { prefix: many });
    const sixty = (call: number) => ({ id: stranger(), from: `203.0.113.${call % 60}` });
    const missed = await attack(
      'a ban, 60 addresses',
      many,
      (client) => protect({ guard: crowd, cache: cacheOf(many) }, client),
      sixty,
    );
    story.verdict(
      `Sixty callers who miss at most ${Math.ceil(CALLS / 60)} times each are not caught`,
      `${missed.queries} queries, ${missed.banned} refused`,
      missed.queries === CALLS,
    );
    const crash = async (Guard: typeof MissGuard) => {
      const of = fresh();
      const doomed = connect();
      await doomed.ping();
      const send = doomed.sendCommand.bind(doomed);
      let sent = 0;
      doomed.sendCommand = (command, stream) => {
        if (sent++ > 0) throw new Error('this process died after its first command');
        return send(command, stream);
      };
      await new Guard(doomed, { prefix: of }).recordMiss('203.0.113.7').catch(() => {});
      const [key] = await redis.keys(`${of}*`);
      return redis.pttl(key ?? '');
    };
    const [eternal, ends] = [await crash(TwoCommands), await crash(MissGuard)];
    story.verdict(
      'A process dies after INCR: without EXPIRE the count never ends; one script has both or neither',
      `time to live: ${eternal === -1 ? 'none' : `${eternal} ms`}, and ${(ends / 1_000).toFixed(0)} s`,
      eternal === -1 && ends > 0,
    );
  });

  await story.scene('All three', async () => {
    const prefix = fresh();
    const all = { guard: new MissGuard(redis, { prefix }), filter: await filterOf(prefix), cache: cacheOf(prefix) };
    const { queries } = await attack('all three', prefix, (client) => protect(all, client));
    story.bars({
      title: `Database queries for ${CALLS} nuisance calls`,
      picture: true,
      items: outcomes.slice(1).map(({ name, queries }) => ({
        label: name,
        value: queries,
        tone: queries < CALLS / 20 ? 'good' : queries < CALLS ? 'warn' : 'bad',
      })),
    });
    story.verdict(
      'Together they keep the warehouse and Redis quiet',
      `${percent(queries / CALLS)} of the calls reach the database`,
      queries < CALLS * 0.02,
    );
  });

  await story.scene('The price list', async () => {
    const stale = (name: string) => {
      if (name.startsWith('markers')) return hides;
      return name.startsWith('a filter') ? 'none; local: a rebuild' : 'none';
    };
    story.table({
      caption: `${CALLS} calls for what does not exist. p99: what the customers waited, during the attack and just after. Staleness: how long a new row was hidden, with a null TTL of ${NULL_TTL} ms`,
      columns: ['technique', right('queries'), right('p99 ms'), right('Redis'), 'staleness'],
      rows: outcomes.map(({ name, queries, p99, redisBytes }) => [
        name,
        queries,
        p99.toFixed(1),
        kb(redisBytes),
        stale(name),
      ]),
    });
    const took = (name: string) => kb(outcomes.find((outcome) => outcome.name === name)?.redisBytes ?? 0);
    story.say(
      `Of Redis the markers alone took ${took('markers, random ids')} for these calls, all three ${took('all three')}, of which a part is the list and the customers' own.`,
    );
  });
});
