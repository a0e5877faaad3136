import { startPostgres, startRedis } from '@shared/services';
import { describeWith, History, random, until } from '@shared/testkit';
import { Pool } from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { BannedError, connectRedis, insertRow, LookupCache, MissGuard, protect, SharedBloom } from '#lab';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);
const servers = { redis: () => startRedis(), pg: () => startPostgres() };

await describeWith('the parcel station', servers, ({ redis: { nodes, namespace }, pg }) => {
  const pool = new Pool({ connectionString: pg.url, max: 8 });
  beforeAll(() => pool.query('CREATE TABLE parcel (id text PRIMARY KEY, shelf int NOT NULL)'));
  afterAll(() => pool.end());

  let stations = 0;
  /** A process of the station: connections of its own, one name for what it shares. */
  const branch = (name: string, ttl: { ttlMs: number; nullTtlMs: number }) => {
    const redis = connectRedis(nodes[0].url, { timeoutMs: 5_000 });
    onTestFinished(() => redis.disconnect());
    const prefix = `${namespace}${name}:`;
    const filter = new SharedBloom(redis, { capacity: 2_000, name: 'parcels', prefix });
    return {
      redis,
      filter,
      cache: new LookupCache(redis, { prefix, ...ttl }),
      guard: new MissGuard(redis, { prefix }),
    };
  };
  const fresh = () => `station${++stations}`;
  const LONG = { ttlMs: 600_000, nullTtlMs: 60_000 };
  const find = (id: string) => async () => {
    const { rows } = await pool.query<{ shelf: number }>('SELECT shelf FROM parcel WHERE id = $1', [id]);
    return rows[0]?.shelf ?? null;
  };
  const insert = (id: string, shelf: number) => pool.query('INSERT INTO parcel VALUES ($1, $2)', [id, shelf]);
  async function* parcels() {
    const { rows } = await pool.query<{ id: string }>('SELECT id FROM parcel');
    for (const { id } of rows) yield id;
  }

  test('whoever asks at the moment of the commit is not turned away by the filter', async () => {
    const station = branch(fresh(), LONG);
    await station.filter.rebuild(parcels());
    const id = `${fresh()} A`;
    const read = await insertRow(station, id, async () => {
      await insert(id, 7);
      return protect(station).read(id, find(id));
    });
    expect(read).toMatchObject({ value: 7, source: 'load' });
  });

  test('whoever asked before the commit leaves no marker after it', async () => {
    const station = branch(fresh(), LONG);
    const other = branch(fresh(), LONG);
    const id = `${fresh()} B`;
    await insertRow({ cache: station.cache }, id, async () => {
      expect(await station.cache.lookup(id, find(id)), 'not yet').toBeNull();
      expect(await other.cache.lookup(id, find(id)), 'another station has a marker of its own').toBeNull();
      await insert(id, 7);
    });
    expect(await station.cache.lookup(id, find(id))).toBe(7);
  });

  test('an insert that fails throws its error and refuses nobody', async () => {
    const station = branch(fresh(), LONG);
    await station.filter.rebuild(parcels());
    const id = `${fresh()} C`;
    await insert(id, 1);
    const again = insertRow(station, id, () => insert(id, 2));
    await expect(again).rejects.toThrow('duplicate key');
    expect(await protect(station).read(id, find(id))).toMatchObject({ value: 1, source: 'load' });
  });

  test('the database has counted as many queries as the loader', async () => {
    const station = branch(fresh(), LONG);
    // Without an index: to build one is a scan, too, and the statistics may tell of it late.
    await pool.query('CREATE TABLE counted (id text)');
    const own = new Pool({ connectionString: pg.url, max: 4 });
    let queries = 0;
    const load = (id: string) => async () => {
      queries++;
      return (await own.query('SELECT id FROM counted WHERE id = $1', [id])).rowCount || null;
    };
    for (let call = 0; call < 60; call++)
      await station.cache.lookup(`parcel ${call % 20}`, load(`parcel ${call % 20}`));
    // A connection tells its statistics at the latest when it ends.
    await own.end();
    const scans = async () =>
      Number(
        (await pool.query("SELECT seq_scan AS scans FROM pg_stat_user_tables WHERE relname = 'counted'")).rows[0]
          ?.scans,
      );
    await until(async () => (await scans()) >= queries, { what: 'the statistics of the last connection' });
    expect({ loader: queries, database: await scans() }).toEqual({ loader: 20, database: 20 });
  });

  test('many nuisance callers at once are each banned at a hundred misses, and nobody else is', async () => {
    const name = fresh();
    const branches = Array.from({ length: 4 }, () => branch(name, LONG));
    const known = `${name} known`;
    await insert(known, 3);
    const outcomes = await Promise.all(
      ['203.0.113.1', '203.0.113.2', '203.0.113.3'].map(async (address) => {
        let [answered, banned] = [0, 0];
        // Ten calls at once, for as long as it takes.
        await Promise.all(
          Array.from({ length: 10 }, async (_, line) => {
            const station = protect(branches[line % 4] ?? {}, address);
            for (let call = 0; banned < 10 && call < 200; call++) {
              const id = `${address} ${line} ${call}`;
              await station
                .read(id, async () => null)
                .then(
                  () => answered++,
                  (error: unknown) => {
                    if (!(error instanceof BannedError)) throw error;
                    banned++;
                  },
                );
            }
          }),
        );
        return { answered, banned };
      }),
    );
    for (const { answered, banned } of outcomes) {
      expect(answered, 'a hundred, and those that were under way').toSatisfy((n: number) => n >= 100 && n < 110);
      expect(banned).toBeGreaterThanOrEqual(10);
    }
    expect((await protect(branches[0] ?? {}, '198.51.100.1').read(known, find(known))).value).toBe(3);
  });

  test('no committed parcel is ever denied, while clerks insert, callers ask and filters are rebuilt', async () => {
    const name = fresh();
    const history = new History<string>();
    const committed = new Set<string>();
    const denied: string[] = [];
    const rebuilder = branch(name, LONG);
    await rebuilder.filter.rebuild(parcels());
    const TOTAL = 120;
    let rebuilt = 0;
    let asked = 0;
    const done = () => committed.size >= TOTAL && rebuilt >= 3 && asked >= 500;
    const clerk = async (number: number) => {
      const station = branch(name, LONG);
      for (let parcel = number; parcel < TOTAL; parcel += 4) {
        const id = `${name} ${parcel}`;
        await insertRow(station, id, () => insert(id, parcel));
        committed.add(id);
        history.record(`${id} inserted`);
      }
    };
    const caller = async (number: number) => {
      const station = protect(branch(name, LONG));
      const dice = random(SEED + number);
      while (!done()) {
        // Parcels that are about to come are asked for before they are there: that is where markers are left.
        const id = `${name} ${Math.min(TOTAL - 1, committed.size + dice.int(-8, 8))}`;
        const there = committed.has(id);
        const { value, source } = await station.read(id, find(id));
        asked++;
        if (there && value === null) denied.push(`${id}: "${source}"\n${history}`);
      }
    };
    const rebuild = async () => {
      while (!done()) {
        await rebuilder.filter.rebuild(parcels());
        history.record(`rebuilt, ${++rebuilt}`);
      }
    };
    await Promise.all([
      ...Array.from({ length: 4 }, (_, n) => clerk(n)),
      ...Array.from({ length: 12 }, (_, n) => caller(n)),
      rebuild(),
    ]);
    expect(denied.slice(0, 1)).toEqual([]);
  }, 20_000);
});
