import { startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { Kysely, PostgresDialect, sql } from 'kysely';
import { Migrator, type Migration as PeerMigration } from 'kysely/migration';
import { Pool } from 'pg';
import { batchUpdate, createMigrator, HistoryError } from './src/index.ts';
import { seed, split } from './test/parcels.ts';

const ROWS = 50_000;
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
const p99 = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? 0;

await tell({ title: 'Migrations against Kysely, and batch sizes', dir: import.meta.dirname }, async (story) => {
  const pg = await story.use(startPostgres());
  await using bin = new AsyncDisposableStack();
  let offices = 0;
  const schemas = new Map<Pool, string>();
  const open = async () => {
    const schema = `bench_${++offices}`;
    const db = new Pool({ connectionString: pg.url, options: `-c search_path=${schema}`, max: 6 });
    db.on('error', () => {});
    bin.adopt(db, (pool) => pool.end());
    await db.query(`CREATE SCHEMA ${schema}`);
    schemas.set(db, schema);
    return db;
  };
  const timed = async (body: () => Promise<unknown>) => {
    const start = performance.now();
    await body();
    return performance.now() - start;
  };
  /** Kysely's own pool ends with it; ours is ended by us. */
  const peer = (db: Pool, steps: Record<string, string>) => {
    const migrations = Object.fromEntries(
      Object.entries(steps).map(([name, step]): [string, PeerMigration] => [
        name,
        { up: async (kysely) => void (await sql.raw(step).execute(kysely)) },
      ]),
    );
    const kysely = new Kysely<unknown>({ dialect: new PostgresDialect({ pool: db }) });
    const provider = { getMigrations: async () => migrations };
    return new Migrator({ db: kysely, provider, migrationTableSchema: schemas.get(db) ?? 'public' });
  };
  const mine = (db: Pool, steps: Record<string, string>) =>
    createMigrator({ db, migrations: Object.entries(steps).map(([name, step]) => ({ name, up: [step], down: [] })) });

  await story.scene('Thirty migrations that make a table each', async () => {
    const steps = Object.fromEntries(
      Array.from({ length: 30 }, (_, n) => [`m${n + 10}`, `CREATE TABLE t${n} (id bigint PRIMARY KEY)`]),
    );
    const ratios: { first: number; again: number }[] = [];
    for (let round = 0; round < 7; round++) {
      const [a, b] = [await open(), await open()];
      const [lab, kysely] = [mine(a, steps), peer(b, steps)];
      const first = [await timed(() => lab.up()), await timed(() => kysely.migrateToLatest())];
      const again = [await timed(() => lab.up()), await timed(() => kysely.migrateToLatest())];
      if (round > 0)
        ratios.push({ first: (first[0] ?? 0) / (first[1] ?? 1), again: (again[0] ?? 0) / (again[1] ?? 1) });
    }
    story.table({
      columns: ['lab / Kysely, medians of 6 rounds', 'time'],
      rows: [
        ['all pending: a transaction each / one for all', `${median(ratios.map(({ first }) => first)).toFixed(2)} ×`],
        ['nothing pending', `${median(ratios.map(({ again }) => again)).toFixed(2)} ×`],
      ],
    });
    story.verdict(
      'a transaction each costs at most twice as much',
      `${median(ratios.map(({ first }) => first)).toFixed(2)} ×`,
      median(ratios.map(({ first }) => first)) <= 2,
    );
  });

  await story.scene('What each says of trouble', async () => {
    const table = { a: 'CREATE TABLE a (id bigint)' };
    const rows: string[][] = [];
    const [one, two] = [await open(), await open()];
    const half = { ...table, b: 'CREATE TABLE b (id nonsense)' };
    const failed = await mine(one, half)
      .up()
      .catch((error: unknown) => error);
    const { results } = await peer(two, half).migrateToLatest();
    const there = async (db: Pool) =>
      (await db.query("SELECT to_regclass('a') AS a")).rows[0]?.a ? 'there' : 'not there';
    const peerSays = results?.map(({ migrationName, status }) => `${migrationName} ${status}`).join(', ');
    rows.push([
      'the second of two fails',
      `${failed instanceof Error ? failed.name : failed}; the first is ${await there(one)}`,
      `${peerSays}; the first is ${await there(two)}`,
    ]);
    const [three, four] = [await open(), await open()];
    await Promise.all([mine(three, table).up(), peer(four, table).migrateToLatest()]);
    const edited = { a: 'CREATE TABLE a (id integer)' };
    const noticed = await mine(three, edited)
      .up()
      .catch((error: unknown) => error);
    const { error: unnoticed } = await peer(four, edited).migrateToLatest();
    rows.push([
      'an applied one was edited',
      noticed instanceof HistoryError ? noticed.name : 'nothing',
      unnoticed ? String(unnoticed) : 'nothing',
    ]);
    const index = 'CREATE INDEX CONCURRENTLY by_id ON a (id)';
    const built = await createMigrator({
      db: three,
      migrations: [
        { name: 'a', up: [table.a], down: [] },
        { name: 'b', transaction: false, up: [{ index: { name: 'by_id', table: 'a', columns: ['id'] } }], down: [] },
      ],
    }).up();
    const { error: refused } = await peer(four, { ...table, b: index }).migrateToLatest();
    rows.push([
      'an index, built while others write',
      `applied: ${built}`,
      refused instanceof Error ? refused.message : 'applied',
    ]);
    story.table({ columns: ['', 'lab', 'Kysely'], rows });
  });

  await story.scene(`The size of a batch: ${ROWS} rows, four who write`, async () => {
    const run = async (size: number) => {
      const db = await open();
      await seed(db, ROWS);
      await db.query('ALTER TABLE parcels ADD street text, ADD city text; ANALYZE parcels');
      const waits: number[] = [];
      let over = false;
      const write = 'UPDATE parcels SET note = 1 WHERE id = $1';
      const clerk = async () => {
        while (!over) waits.push(await timed(() => db.query(write, [1 + Math.floor(story.random() * ROWS)])));
      };
      const clerks = Promise.all(Array.from({ length: 4 }, clerk));
      const { check: _, ...plan } = split(size);
      const took = await timed(() => batchUpdate({ ...plan, db, name: 'split', lockTimeoutMs: 10_000 }));
      over = true;
      await clerks;
      return { took, p99: p99(waits), longest: Math.max(...waits) };
    };
    const sizes = [100, 1_000, 10_000, ROWS];
    const rounds: Awaited<ReturnType<typeof run>>[][] = [];
    for (let round = 0; round < 5; round++) {
      const results: Awaited<ReturnType<typeof run>>[] = [];
      for (const size of sizes) results.push(await run(size));
      rounds.push(results);
    }
    /** Against one batch for all, round by round. */
    const against = (of: number, figure: 'took' | 'p99' | 'longest') =>
      median(rounds.map((round) => (round[of]?.[figure] ?? Number.NaN) / (round.at(-1)?.[figure] ?? Number.NaN)));
    story.table({
      columns: ['rows of a batch, against all in one', 'time of all', 'p99 of a write', 'longest write'],
      rows: sizes.map((size, of) => [
        `${size}`,
        ...(['took', 'p99', 'longest'] as const).map((figure) => `${against(of, figure).toFixed(2)} ×`),
      ]),
    });
    story.verdict(
      'batches of 1,000: the longest write waits less than half as long',
      `${against(1, 'longest').toFixed(2)} ×`,
      against(1, 'longest') < 0.5,
    );
  });
});
