import { startPostgres } from '@shared/services';
import { describeWith, History, outcome, until } from '@shared/testkit';
import { Pool, type PoolConfig } from 'pg';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import {
  BackupError,
  batchUpdate,
  ConnectionLostError,
  createMigrator,
  defineMigration,
  HistoryError,
  InvalidArgumentError,
  IrreversibleError,
  LockTimeoutError,
  type Migration,
  MigrationError,
  type MigratorOptions,
  StepFailedError,
  VerificationError,
} from '#lab';
import { killedAfter } from './killed.ts';
import { contract, expand, fill, index, journey, seed, split } from './parcels.ts';

await describeWith('migrations', { postgres: () => startPostgres() }, ({ postgres }) => {
  const admin = new Pool({ connectionString: postgres.url });
  admin.on('error', () => {});
  afterAll(() => admin.end());

  let offices = 0;
  /** An office of the test's own: a schema, and parcels in it. */
  const open = async (rows = 0) => {
    const schema = `office_${++offices}`;
    await admin.query(`CREATE SCHEMA ${schema}`);
    const connect = (config: PoolConfig = {}) => {
      const pool = new Pool({ connectionString: postgres.url, options: `-c search_path=${schema}`, ...config });
      pool.on('error', () => {});
      // Not awaited: a law that failed may have a connection out.
      onTestFinished(() => void pool.end());
      return pool;
    };
    const db = connect({ application_name: schema });
    if (rows > 0) await seed(db, rows);
    const migrator = (migrations: readonly Migration[], options: Partial<MigratorOptions> = {}) =>
      createMigrator({ db, migrations, lockTimeoutMs: 50, ...options });
    const ask = async (query: string): Promise<unknown[]> =>
      (await db.query({ text: query, rowMode: 'array' })).rows.flat();
    const applied = async () => {
      const there = await ask("SELECT to_regclass('migration_history') IS NOT NULL");
      return there[0] ? ask('SELECT name FROM migration_history ORDER BY position') : [];
    };
    /** What the schema is, and what is in it. */
    const dump = async () => ({
      columns: await ask(`SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable
        FROM information_schema.columns WHERE table_schema = '${schema}' AND table_name NOT LIKE 'migration%' ORDER BY 1`),
      indexes: await ask(
        `SELECT indexdef FROM pg_indexes WHERE schemaname = '${schema}' AND tablename NOT LIKE 'migration%' ORDER BY 1`,
      ),
      triggers: await ask(
        `SELECT tgname FROM pg_trigger WHERE tgrelid = to_regclass('parcels') AND NOT tgisinternal ORDER BY 1`,
      ),
      functions: await ask(`SELECT proname FROM pg_proc WHERE pronamespace = '${schema}'::regnamespace ORDER BY 1`),
      rows: rows > 0 ? await ask('SELECT md5(string_agg(p::text, chr(10) ORDER BY id)) FROM parcels AS p') : [],
    });
    /** A transaction that has read the parcels and isn't at its end. */
    const report = async () => {
      const client = await connect().connect();
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM parcels');
      let ended = false;
      const end = async () => {
        if (!ended) client.release(true);
        ended = true;
      };
      onTestFinished(end);
      return end;
    };
    /** Until a connection is in this state; a run that has ended is not waited for. */
    const during = (run: Promise<unknown>, state: string) => {
      const there = async () => (await ask(`SELECT pid FROM pg_stat_activity WHERE ${state}`)).length > 0;
      return Promise.race([run, until(there, { what: `a connection whose ${state}` })]);
    };
    const blocked = (run: Promise<unknown>) =>
      during(run, `application_name = '${schema}' AND wait_event_type = 'Lock'`);
    return { schema, db, connect, migrator, ask, applied, dump, report, during, blocked };
  };
  const table = (name: string, more: Partial<Migration> = {}): Migration => ({
    name,
    up: [`CREATE TABLE ${name} (id integer)`],
    down: [],
    ...more,
  });
  const backup = async () => {};
  const wrong = { table: 'parcels', where: "address IS DISTINCT FROM street || ', ' || city" };
  const mistakes = `SELECT count(*)::int FROM ${wrong.table} WHERE ${wrong.where}`;

  // ── the runner ────────────────────────────────────────────────────────────────────────────────────────────────────

  test('a migration is applied once, together with its note, or nothing of it is left', async () => {
    const { migrator, ask, applied } = await open();
    const broken = table('b', { up: ['CREATE TABLE b (id integer)', 'CREATE TABLE c (id nonsense)'] });
    await expect(migrator([table('a'), broken]).up()).rejects.toThrow(StepFailedError);
    expect(await applied(), 'what came before it stays').toEqual(['a']);
    expect(await ask("SELECT to_regclass('b')"), 'its first step is undone').toEqual([null]);
    const mended = migrator([table('a'), table('b')]);
    expect(await mended.up()).toEqual(['b']);
    expect(await mended.up(), 'a second run has nothing to do').toEqual([]);
    expect(await applied()).toEqual(['a', 'b']);
  });

  test('an applied migration that was edited, moved or taken out is found before anything is run', async () => {
    const { migrator, applied, ask } = await open();
    const [a, b, c] = [table('a'), table('b'), table('c')];
    await migrator([a, b]).up();
    const lists: [string, Migration[]][] = [
      ['edited', [table('a', { up: ['CREATE TABLE a (id bigint)'] }), b, c]],
      ['edited by a letter', [table('a', { up: ['CREATE TABLE a (id Integer)'] }), b, c]],
      ['moved', [b, a, c]],
      ['taken out', [b, c]],
      ['the last one taken out', [a]],
      ['a new one in the middle', [a, c, b]],
      ['no longer in a transaction', [a, { ...b, transaction: false }, c]],
    ];
    for (const [what, list] of lists) {
      await expect(migrator(list).up(), what).rejects.toThrow(HistoryError);
      await expect(migrator(list).plan(), `the plan says it too: ${what}`).rejects.toThrow(HistoryError);
      await expect(migrator(list).down(), `nor is it undone: ${what}`).rejects.toThrow(HistoryError);
    }
    expect(await applied()).toEqual(['a', 'b']);
    expect(await ask("SELECT to_regclass('c')")).toEqual([null]);
    const saved = {
      ...a,
      up: ['CREATE TABLE a (id integer)\r\n'],
      down: ['DROP INDEX a'],
      verify: 'SELECT 1 WHERE false',
    };
    expect(await migrator([saved, b, c]).up(), 'line endings, the way back and the verification may change').toEqual([
      'c',
    ]);
  });

  test('of those who migrate at once, one applies each migration', async () => {
    const { migrator, connect, ask, db } = await open();
    await db.query('CREATE TABLE counted (name text)');
    const migrations = ['a', 'b', 'c'].map((name) =>
      table(name, { up: [`INSERT INTO counted VALUES ('${name}')`, 'SELECT pg_sleep(0.02)'] }),
    );
    const all = Array.from({ length: 4 }, () => connect());
    // Connected before: or the first may be done before the last has come.
    await Promise.all(all.map((each) => each.query('SELECT')));
    const runs = await Promise.all(all.map((each) => outcome(migrator(migrations, { db: each }).up())));
    expect(runs.map(({ error }) => error)).toEqual([undefined, undefined, undefined, undefined]);
    expect(runs.flatMap(({ value }) => value ?? []).toSorted()).toEqual(['a', 'b', 'c']);
    expect(await ask('SELECT name FROM counted ORDER BY name')).toEqual(['a', 'b', 'c']);
  });

  test('a change that waits for its lock lets the writers by, and is tried until it has it', async () => {
    const { migrator, report, blocked, connect, ask } = await open(10);
    const history = new History();
    const endReport = await report();
    const change = outcome(migrator([expand]).up(), 10_000);
    for (let round = 1; round <= 2; round++) {
      await blocked(change);
      const write = connect().query("UPDATE parcels SET address = 'Bund 1, Shanghai' WHERE id = 1");
      const { error } = await outcome(write, 1_000);
      history.record(
        `round ${round}: a clerk ${error ? 'waits behind the change' : 'has written'}, the report is still open`,
      );
      expect(error, history.toString()).toBeUndefined();
    }
    await endReport();
    expect(await change).toEqual({ value: ['01 expand'], error: undefined });
    expect(await ask('SELECT count(*)::int FROM migration_history')).toEqual([1]);
  });

  test('what is wrong after a migration undoes it, in a transaction or not', async () => {
    const { migrator, applied, dump, ask } = await open(50);
    const before = await dump();
    const careless: Migration = {
      name: 'a',
      up: ["UPDATE parcels SET address = 'lost' WHERE id = 7"],
      down: [],
      verify: "SELECT id, address FROM parcels WHERE address = 'lost' -- by mistake",
    };
    const error = await migrator([careless])
      .up()
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(VerificationError);
    expect(error, 'it shows what is wrong').toMatchObject({ counterexamples: [{ id: '7', address: 'lost' }] });
    expect(await dump()).toEqual(before);
    const { check: _, ...unchecked } = split(10);
    const cities: Migration = {
      ...fill(10),
      up: [
        'ALTER TABLE parcels ADD street text, ADD city text',
        { backfill: { ...unchecked, transform: { city: 'address' } } },
      ],
      down: ['ALTER TABLE parcels DROP COLUMN street, DROP COLUMN city'],
      destroys: 'down',
    };
    await expect(migrator([cities]).up()).rejects.toThrow(VerificationError);
    expect(await dump(), 'by its way back').toEqual(before);
    expect(await applied()).toEqual([]);
    expect(await ask('SELECT count(*)::int FROM migration_batches'), 'the next attempt begins anew').toEqual([0]);
  });

  test('what destroys data waits for its backup, and what can not be undone says so before anything is', async () => {
    const { migrator, applied, ask, dump } = await open(5);
    const after: Migration = table('05 after', {
      down: ['DROP TABLE "05 after"'],
      up: ['CREATE TABLE "05 after" (id integer)'],
      destroys: 'down',
    });
    const list = [...journey(10), after];
    await expect(migrator(list).up(), 'no backup was given').rejects.toThrow(InvalidArgumentError);
    expect(await applied(), 'and nothing was begun').toEqual([]);
    const seen: unknown[] = [];
    const copy = async ({ name }: Migration) => {
      seen.push(name, ...(await ask("SELECT count(*)::int FROM parcels WHERE address LIKE 'Nanjing%'")));
    };
    await migrator(list, { backup: copy }).up();
    expect(seen, 'each row was there when the backup was made').toEqual(['04 contract', 5]);
    const before = await dump();
    await expect(migrator(list, { backup }).down({ to: '03 index' })).rejects.toThrow(IrreversibleError);
    expect(await dump(), 'not even what could be undone').toEqual(before);
    expect(await applied()).toHaveLength(5);
    expect(await migrator(list, { backup }).down()).toEqual(['05 after']);
    await expect(migrator(list, { backup }).down()).rejects.toThrow('Restore the backup');
  });

  // ── the backfill ──────────────────────────────────────────────────────────────────────────────────────────────────

  test('a backfill leaves no row out while others come and go', async () => {
    const { db, ask, migrator } = await open(60);
    const history = new History();
    await migrator([expand]).up();
    let batches = 0;
    const others: Promise<unknown>[] = [];
    const result = await batchUpdate({
      ...split(10),
      db,
      name: 'split',
      pauseMs: 30,
      onProgress: ({ rows, last }) => {
        history.record(`${rows} rows, up to ${last}`);
        // Those that are done go, so that all others move up.
        if (++batches === 2) others.push(db.query('DELETE FROM parcels WHERE id <= 15'));
        if (batches === 3) others.push(db.query("INSERT INTO parcels (id, address) VALUES (999, 'Bund 1, Shanghai')"));
      },
    });
    await Promise.all(others);
    expect(await ask(`SELECT id FROM parcels WHERE ${wrong.where}`), history.toString()).toEqual([]);
    expect(result).toEqual({ rows: 60, resumedFrom: undefined });
    expect(await ask('SELECT count(*)::int FROM parcels')).toEqual([46]);
  });

  test('a backfill that was killed goes on after its last batch', async () => {
    const { migrator, schema, ask, applied } = await open(400);
    const history = new History();
    const reached = await killedAfter(30, { url: postgres.url, schema, size: 10 });
    history.record(`killed when ${reached} of 400 rows were told`);
    expect(await applied(), 'it was killed in the middle').toEqual(['01 expand']);
    const seen: number[] = [];
    await migrator(journey(10), { backup }).up({ to: '02 backfill', onProgress: ({ rows }) => seen.push(rows) });
    history.record(`the next run began with row ${(seen[0] ?? 0) - 9}`);
    expect(seen[0], history.toString()).toBeGreaterThan(reached);
    expect(seen.at(-1), 'each row counted once').toBe(400);
    expect(await ask(mistakes)).toEqual([0]);
  });

  test('a batch that failed is not noted as done', async () => {
    const { db, ask } = await open(30);
    await db.query(
      'ALTER TABLE parcels ADD share integer; UPDATE parcels SET note = id; UPDATE parcels SET note = 0 WHERE id = 15',
    );
    const plan = { db, name: 'share', table: 'parcels', key: 'id', size: 10, transform: { share: '100 / note' } };
    await expect(batchUpdate(plan)).rejects.toMatchObject({ code: '22012' });
    expect(await ask('SELECT count(share)::int FROM parcels')).toEqual([10]);
    await db.query('UPDATE parcels SET note = 100 WHERE id = 15');
    expect(await batchUpdate(plan)).toEqual({ rows: 30, resumedFrom: '10' });
    expect(await ask('SELECT count(share)::int FROM parcels')).toEqual([30]);
    expect(await batchUpdate(plan), 'and there is nothing left').toEqual({ rows: 30, resumedFrom: '30' });
  });

  test('a wrong transform is found on a small first batch, which is undone', async () => {
    const { db, ask, migrator } = await open(500);
    await migrator([expand]).up();
    const told: unknown[] = [];
    const plan = { ...split(400), db, name: 'split', onProgress: (progress: unknown) => told.push(progress) };
    const error = await batchUpdate({ ...plan, transform: { street: "''", city: 'address' } }).catch(
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(VerificationError);
    expect(error).toMatchObject({ counterexamples: { length: 5 } });
    expect(await ask('SELECT count(street)::int FROM parcels')).toEqual([0]);
    expect(told).toEqual([]);
    const one = batchUpdate({ ...plan, check: 'id <> 7' });
    await expect(one, 'one wrong row is enough').rejects.toMatchObject({ counterexamples: [{ id: '7' }] });
    expect(await batchUpdate(plan), 'the right one begins at the beginning').toEqual({
      rows: 500,
      resumedFrom: undefined,
    });
    expect(told).toEqual([
      { rows: 100, last: '100' },
      { rows: 500, last: '500' },
    ]);
  });

  test('another transform under the same name is another job', async () => {
    const { db, ask } = await open(20);
    const plan = { db, name: 'n', table: 'parcels', key: 'id', size: 5, transform: { note: '1' } };
    const stop = AbortSignal.abort('enough');
    await expect(batchUpdate({ ...plan, signal: stop })).rejects.toBe('enough');
    let batches = 0;
    const half = {
      ...plan,
      onProgress: () => {
        if (++batches === 2) throw new Error('half of it');
      },
    };
    await expect(batchUpdate(half)).rejects.toThrow('half of it');
    await batchUpdate({ ...plan, transform: { note: '2' } });
    expect(await ask('SELECT DISTINCT note FROM parcels')).toEqual([2]);
  });

  test('two who run the same backfill share it', async () => {
    const { db, connect, ask } = await open(200);
    await db.query(`CREATE TABLE written (id bigint);
      CREATE FUNCTION count_write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO written VALUES (NEW.id); RETURN NEW; END $$;
      CREATE TRIGGER count_write BEFORE UPDATE ON parcels FOR EACH ROW EXECUTE FUNCTION count_write()`);
    const plan = { name: 'n', table: 'parcels', key: 'id', size: 10, transform: { note: '(id * 2)::int' } };
    const done = await Promise.all([batchUpdate({ ...plan, db }), batchUpdate({ ...plan, db: connect() })]);
    expect(done.map(({ rows }) => rows)).toEqual([200, 200]);
    expect(await ask('SELECT count(*)::int FROM written')).toEqual([200]);
    const holder = await connect().connect();
    await holder.query('BEGIN; SELECT FROM migration_batches FOR UPDATE');
    const third = batchUpdate({ ...plan, db, lockTimeoutMs: 10, lockAttempts: 2 });
    await expect(third, 'whose batch takes long').rejects.toThrow(LockTimeoutError);
    holder.release(true);
    await batchUpdate({ ...plan, db, name: 'once more' });
    expect(await ask('SELECT count(*)::int FROM written'), 'what is right is not written again').toEqual([200]);
  });

  test('a batch that meets a locked row gives way, and takes it later', async () => {
    const { db, connect, blocked, ask } = await open(20);
    const clerk = await connect().connect();
    await clerk.query('BEGIN; UPDATE parcels SET address = address WHERE id = 15');
    const plan = { db, name: 'n', table: 'parcels', key: 'id', size: 10, transform: { note: '1' }, lockTimeoutMs: 30 };
    const run = outcome(batchUpdate(plan), 5_000);
    await blocked(run);
    const other = await outcome(connect().query('UPDATE parcels SET address = address WHERE id = 12'));
    expect(other.error, 'the rest of the batch is let go').toBeUndefined();
    await clerk.query('COMMIT');
    clerk.release();
    expect((await run).error).toBeUndefined();
    expect(await ask('SELECT count(note)::int FROM parcels')).toEqual([20]);
  });

  test('a backfill goes along any unique key, and along no other', async () => {
    const { db, ask } = await open();
    await db.query(`CREATE TABLE t (u uuid PRIMARY KEY DEFAULT gen_random_uuid(), at timestamptz UNIQUE NOT NULL,
        "Odd ""key""" text UNIQUE NOT NULL, maybe integer UNIQUE, twice integer NOT NULL, n integer);
      INSERT INTO t SELECT gen_random_uuid(), now() + n * interval '1 microsecond', 'k' || n, n, 1 FROM generate_series(1, 25) n`);
    const plan = { db, name: 't', table: 't', size: 4, transform: { n: 'coalesce(n, 0) + 1' } };
    for (const key of ['u', 'at', 'Odd "key"'])
      expect(await batchUpdate({ ...plan, key }), key).toMatchObject({ rows: 25 });
    expect(await ask('SELECT DISTINCT n FROM t')).toEqual([3]);
    for (const key of ['maybe', 'twice', 'nope', '__proto__']) {
      await expect(batchUpdate({ ...plan, key }), key).rejects.toThrow(InvalidArgumentError);
    }
  });

  test('what is equal and yet not the same is written, and so is what can not be compared', async () => {
    const { db, ask } = await open();
    await db.query(`CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      CREATE TABLE t (id integer PRIMARY KEY, mail text COLLATE any_case, took interval, more json);
      INSERT INTO t VALUES (1, 'ANN', '24 hours', NULL)`);
    const transform = { mail: 'lower(mail)', took: 'justify_hours(took)', more: "json_build_object('id', id)" };
    for (const [column, expression] of Object.entries(transform))
      await batchUpdate({ db, name: column, table: 't', key: 'id', size: 5, transform: { [column]: expression } });
    expect(await ask('SELECT ROW(mail, took, more)::text FROM t')).toEqual(['(ann,"1 day","{""id"" : 1}")']);
  });

  test('who watches a backfill is waited for, and nobody takes out its note', async () => {
    const { db, ask } = await open(20);
    const plan = { db, name: 'n', table: 'parcels', key: 'id', size: 5, transform: { note: '1' } };
    const rejects = async () => Promise.reject(new Error('enough'));
    await expect(batchUpdate({ ...plan, onProgress: rejects })).rejects.toThrow('enough');
    const gone = batchUpdate({ ...plan, onProgress: () => db.query('DELETE FROM migration_batches') });
    await expect(gone, 'not as if it were at its end').rejects.toThrow(HistoryError);
    expect(await ask('SELECT count(note)::int FROM parcels')).toEqual([10]);
  });

  // ── the index ─────────────────────────────────────────────────────────────────────────────────────────────────────

  test('an index whose build failed is found and built again', async () => {
    const { migrator, db, ask, applied } = await open(20);
    const oneEach = { name: 'one_each', table: 'parcels', columns: ['note'], unique: true };
    const up = ['CREATE TABLE IF NOT EXISTS kept (id integer)', { index: oneEach }];
    const unique: Migration = { ...index, up, down: ['DROP TABLE kept'], destroys: 'down' };
    const valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('one_each')";
    await db.query('UPDATE parcels SET note = id / 2');
    await expect(migrator([unique]).up()).rejects.toThrow(StepFailedError);
    expect(await ask(valid), 'what Postgres leaves behind').toEqual([false]);
    expect(await ask("SELECT to_regclass('kept')::text"), 'what was done is not undone').toEqual(['kept']);
    await db.query('UPDATE parcels SET note = id');
    expect(await migrator([unique]).up()).toEqual(['03 index']);
    expect(await ask(valid)).toEqual([true]);
    expect(await applied()).toEqual(['03 index']);
    for (const other of [{ unique: false }, { columns: ['id'] }, { columns: ['note', 'id'] }]) {
      const another = { ...index, name: '04', up: [{ index: { ...oneEach, ...other } }] };
      await expect(migrator([unique, another]).up(), 'a valid one, but not this one').rejects.toThrow(StepFailedError);
    }
    const built = await ask("SELECT 'one_each'::regclass::oid");
    await migrator([unique, { ...index, name: '04', up: [{ index: oneEach }] }]).up();
    expect(await ask("SELECT 'one_each'::regclass::oid"), 'a good one is not built again').toEqual(built);
  });

  test('an index waits for a report that is longer than any lock may take, and clerks write meanwhile', async () => {
    const { migrator, report, blocked, connect, ask, db } = await open(20);
    const endReport = await report();
    const build: Migration = { ...index, up: [{ index: { name: 'by_note', table: 'parcels', columns: ['note'] } }] };
    const run = outcome(migrator([build], { lockTimeoutMs: 10, lockAttempts: 1 }).up(), 10_000);
    await blocked(run);
    await db.query('SELECT pg_sleep(0.04)');
    await blocked(run);
    expect((await outcome(connect().query('UPDATE parcels SET note = 1 WHERE id = 1'))).error).toBeUndefined();
    await endReport();
    expect((await run).error).toBeUndefined();
    expect(await ask("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('by_note')")).toEqual([true]);
  });

  test('who waits for his turn does not hold up an index that is built meanwhile', async () => {
    const { migrator, connect, during } = await open(20);
    const list = [
      table('00 first', { up: ['SELECT 1'], destroys: 'up' }),
      { ...index, up: [{ index: { name: 'by_note', table: 'parcels', columns: ['note'] } }] },
    ];
    let second = outcome<unknown>(Promise.resolve());
    const db = connect({ application_name: 'second', max: 1 });
    const begin = async () => {
      second = outcome(migrator(list, { db, backup, lockTimeoutMs: 20_000, lockAttempts: 1 }).up(), 10_000);
      await during(second, "application_name = 'second' AND query ~ 'advisory'");
    };
    const first = await outcome(migrator(list, { backup: begin, lockAttempts: 1 }).up(), 10_000);
    expect(first).toEqual({ value: ['00 first', '03 index'], error: undefined });
    expect(await second).toEqual({ value: [], error: undefined });
  });

  // ── from expand to contract ───────────────────────────────────────────────────────────────────────────────────────

  test('no clerk is refused and no write is lost from expand to contract', async () => {
    const { migrator, connect, ask, dump } = await open(200);
    const history = new History();
    const db = connect({ max: 4 });
    const truth = new Map<number, string>();
    const refused: unknown[] = [];
    /** A clerk of the old office or of the new one, who writes until he is told to go, or is refused. */
    const clerk = (office: 'old' | 'new', ids: number[]) => {
      let gone = false;
      const write = async (n: number) => {
        const values: unknown[] = [`${office} ${n}`, 'Shanghai', ...(n % 5 === 4 ? [] : [ids[n % ids.length]])];
        const [insert, update] =
          office === 'old'
            ? ["(address) VALUES ($1 || ', ' || $2)", "address = $1 || ', ' || $2"]
            : ['(street, city) VALUES ($1, $2)', 'street = $1, city = $2'];
        const query = n % 5 === 4 ? `INSERT INTO parcels ${insert}` : `UPDATE parcels SET ${update} WHERE id = $3`;
        const { rows } = await db.query(`${query} RETURNING id`, values);
        truth.set(Number(rows[0]?.id), `${values[0]}, Shanghai`);
      };
      const writing = (async () => {
        for (let n = 0; !gone; n++) await write(n);
      })().catch((error: unknown) => void refused.push(`${office}: ${error}`));
      const go = async () => {
        gone = true;
        await writing;
      };
      onTestFinished(go);
      return go;
    };
    const run = async (to?: string) => {
      history.record(
        `up to ${to ?? 'the end'}: ${await migrator(journey(10), { backup }).up(to === undefined ? {} : { to })}`,
      );
    };
    const old = [clerk('old', [1, 50, 199]), clerk('old', [2, 120, 198])];
    await run('01 expand');
    await run('03 index');
    const young = [clerk('new', [3, 51, 197]), clerk('new', [4, 121, 196])];
    await until(() => truth.size > 15 || refused.length > 0);
    await Promise.all(old.map((go) => go()));
    expect(await migrator(journey(10)).verify(), 'watched while both write').toEqual([
      { name: '02 backfill', counterexamples: [] },
    ]);
    await run();
    await Promise.all(young.map((go) => go()));
    expect(refused, history.toString()).toEqual([]);
    const stored = new Map(
      (await db.query('SELECT id, street, city FROM parcels')).rows.map(({ id, street, city }) => [
        Number(id),
        `${street}, ${city}`,
      ]),
    );
    for (const [id, address] of truth) expect(stored.get(id), `parcel ${id}`).toBe(address);
    expect(await ask('SELECT count(*)::int FROM parcels WHERE street IS NULL OR city IS NULL')).toEqual([0]);
    expect((await dump()).columns).not.toContain('parcels.address text NO');
  });

  test('up, down and up again is the same schema and the same data', async () => {
    const { migrator, dump, applied, connect } = await open(30);
    const list = [expand, fill(7), index];
    const before = await dump();
    const one = connect({ max: 1 });
    const run = migrator(list, { backup, db: one });
    await run.up();
    const after = await dump();
    expect((await one.query('SHOW lock_timeout')).rows, 'nothing of it stays in the pool').toEqual([
      { lock_timeout: '0' },
    ]);
    expect(await run.down({ to: '02 backfill' })).toEqual(['03 index']);
    expect(await run.down()).toEqual(['02 backfill']);
    expect(await run.down()).toEqual(['01 expand']);
    expect(await run.down(), 'nothing is left to undo').toEqual([]);
    expect(await dump()).toEqual(before);
    expect(await applied()).toEqual([]);
    await run.up();
    expect(await dump()).toEqual(after);
  });

  test('the plan and the status change nothing, and say what will be sent', async () => {
    const { migrator, ask } = await open(5);
    const list = journey(10);
    const plan = await migrator(list).plan();
    expect(await ask("SELECT to_regclass('migration_history')"), 'not even a table of ours').toEqual([null]);
    expect(plan.map(({ name, destroys }) => [name, destroys])).toEqual([
      ['01 expand', false],
      ['02 backfill', false],
      ['03 index', false],
      ['04 contract', true],
    ]);
    expect(plan.flatMap(({ steps }) => steps)).toContain(
      'CREATE INDEX CONCURRENTLY "parcels_city" ON "parcels" ("city","street")',
    );
    expect(plan[1]?.steps[0]).toMatch(
      /^UPDATE "parcels" SET "street" = \(split_part.+ in batches along "id", checked by address = /,
    );
    expect((await migrator(list).status()).map(({ appliedAt }) => appliedAt)).toEqual(Array(4).fill(undefined));
    await migrator(list).up({ to: '02 backfill' });
    expect(await migrator(list).plan({ to: '03 index' })).toMatchObject([{ name: '03 index' }]);
    expect(await migrator(list).status()).toMatchObject([
      { appliedAt: expect.any(Date) },
      { appliedAt: expect.any(Date) },
      { appliedAt: undefined },
      {},
    ]);
  });

  test('verify finds what has gone wrong since, and asks nothing of what was destroyed', async () => {
    const { migrator, db } = await open(5);
    const run = migrator(journey(10), { backup });
    await run.up({ to: '03 index' });
    await db.query(
      "ALTER TABLE parcels DISABLE TRIGGER USER; UPDATE parcels SET city = 'Atlantis' WHERE id = 3; ALTER TABLE parcels ENABLE TRIGGER USER",
    );
    expect(await run.verify()).toMatchObject([
      { name: '02 backfill', counterexamples: [{ id: '3', city: 'Atlantis' }] },
    ]);
    await run.up();
    expect(await run.verify()).toEqual([{ name: '04 contract', counterexamples: [] }]);
  });

  // ── faults ────────────────────────────────────────────────────────────────────────────────────────────────────────

  test('a backup that fails stops what destroys', async () => {
    const { migrator, applied, ask } = await open(5);
    for (const fails of [
      () => Promise.reject(new Error('disk full')),
      () => {
        throw new Error('disk full');
      },
    ]) {
      await expect(migrator(journey(10), { backup: fails }).up()).rejects.toThrow(BackupError);
    }
    expect(await applied()).toEqual(['01 expand', '02 backfill', '03 index']);
    expect(await ask('SELECT count(address)::int FROM parcels')).toEqual([5]);
  });

  test('a lock that is never had is given up, with nothing changed', async () => {
    const { migrator, report, applied, ask, db, connect } = await open(5);
    const endReport = await report();
    await db.query('CREATE SEQUENCE tries');
    const counted = { ...expand, up: ["SELECT nextval('tries')", ...expand.up] };
    const error = migrator([counted], { lockTimeoutMs: 10, lockAttempts: 2 })
      .up()
      .catch((reason: unknown) => reason);
    expect(await error).toBeInstanceOf(LockTimeoutError);
    expect(await ask('SELECT last_value::int FROM tries')).toEqual([2]);
    await endReport();
    expect(await applied()).toEqual([]);
    expect(await ask("SELECT to_regproc('dual_write')")).toEqual([null]);
    const run = migrator([table('a', { verify: 'SELECT id FROM a' })], { lockTimeoutMs: 10, lockAttempts: 2 });
    await run.up();
    const holder = await connect().connect();
    await holder.query('BEGIN; LOCK TABLE a');
    await expect(run.verify(), 'nor does a verification wait for ever').rejects.toThrow(LockTimeoutError);
    holder.release(true);
  });

  test('whoever aborts gets his reason, wherever the run is', async () => {
    const { migrator, report, blocked, during, applied, connect } = await open(50);
    const stop = (): [AbortController, { signal: AbortSignal }] => {
      const controller = new AbortController();
      return [controller, { signal: controller.signal }];
    };
    await expect(migrator([expand]).up({ signal: AbortSignal.abort('at once') })).rejects.toBe('at once');
    const [first, options] = stop();
    const endReport = await report();
    const run = outcome(migrator([expand]).up(options));
    await blocked(run);
    first.abort('while it waits for a table');
    expect((await run).error).toBe('while it waits for a table');
    await endReport();
    const [second, between] = stop();
    const batches = migrator(journey(10), { backup }).up({
      ...between,
      onProgress: () => second.abort('between batches'),
    });
    await expect(batches).rejects.toBe('between batches');
    expect(await applied()).toEqual(['01 expand']);
    const [third, turn] = stop();
    const slow = outcome(migrator([expand, table('02 slow', { up: ['SELECT pg_sleep(0.3)'] })]).up());
    await during(slow, "query = 'SELECT pg_sleep(0.3)'");
    const queued = outcome(migrator([expand], { db: connect() }).up(turn));
    third.abort('while he waits for his turn');
    expect((await queued).error).toBe('while he waits for his turn');
    await slow;
  });

  test('a connection that is lost half-way leaves nothing half-done, and no process ends of it', async () => {
    const { migrator, schema, applied, ask, connect, during } = await open(30);
    const sever = () =>
      ask(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '${schema} run'`);
    const db = connect({ application_name: `${schema} run` });
    const slow = table('a', { up: ['CREATE TABLE a (id integer)', 'SELECT pg_sleep(10)'] });
    let heard: number | undefined;
    db.once('acquire', (client) => queueMicrotask(() => (heard = client.listenerCount('error'))));
    await migrator([slow], { db }).status();
    expect(heard, 'who hears of the end of a connection that comes with its beginning').toBe(1);
    const run = outcome(migrator([slow], { db }).up(), 5_000);
    await during(run, `application_name = '${schema} run' AND query ~ 'sleep'`);
    await sever();
    expect((await run).error).toBeInstanceOf(ConnectionLostError);
    expect(await ask("SELECT to_regclass('a')")).toEqual([null]);
    await migrator([expand]).up();
    const options = { ...split(10), db, name: 'split', pauseMs: 20, onProgress: () => void sever() };
    expect((await outcome(batchUpdate(options), 5_000)).error).toBeInstanceOf(ConnectionLostError);
    expect(await batchUpdate({ ...split(10), db, name: 'split' })).toMatchObject({
      rows: 30,
      resumedFrom: expect.any(String),
    });
    const nowhere = new Pool({ host: '127.0.0.1', port: 1 });
    await expect(migrator([expand], { db: nowhere }).status()).rejects.toThrow(ConnectionLostError);
    expect(await applied()).toEqual(['01 expand']);
  });

  test('a step that ends its transaction is refused, and not noted', async () => {
    const { migrator, applied } = await open();
    for (const up of [['COMMIT'], ['ROLLBACK'], ['COMMIT; BEGIN'], ['COMMIT', 'SELECT nonsense']]) {
      await expect(migrator([table('a', { up })]).up(), up[0]).rejects.toThrow(InvalidArgumentError);
    }
    await expect(migrator([table('a', { verify: 'SELECT nonsense' })]).up()).rejects.toThrow(StepFailedError);
    const late = 'CREATE TABLE b (id integer PRIMARY KEY, b integer REFERENCES b DEFERRABLE INITIALLY DEFERRED)';
    const refused = migrator([table('a', { up: [late, 'INSERT INTO b VALUES (1, 2)'] })]).up();
    await expect(refused, 'refused by COMMIT itself').rejects.toThrow(StepFailedError);
    const begun = migrator([table('a', { up: ['BEGIN; SELECT nonsense'], transaction: false })]).up();
    await expect(begun, 'a transaction that is left open is no lost connection').rejects.toThrow(StepFailedError);
    expect(await applied()).toEqual([]);
  });

  test('a way back is not broken off, and one that fails tells what is wrong, too', async () => {
    const { migrator, during, ask } = await open();
    const lost = { up: ['CREATE TABLE a AS SELECT 7 AS id'], down: ['DROP VIEW a'], verify: 'SELECT id FROM a' };
    const error = (await outcome(migrator([table('a', { ...lost, transaction: false })]).up())).error;
    expect(error).toBeInstanceOf(StepFailedError);
    expect(String(error)).toMatch(/id: 7.*"a" is not a view/s);
    const stop = new AbortController();
    const slow = { ...lost, up: ['CREATE TABLE b AS SELECT 7 AS id'], down: ['SELECT pg_sleep(0.1)', 'DROP TABLE b'] };
    const careless = table('b', { ...slow, verify: 'SELECT id FROM b', transaction: false, destroys: 'down' });
    const run = outcome(migrator([careless]).up({ signal: stop.signal }));
    await during(run, "query = 'SELECT pg_sleep(0.1)'");
    stop.abort('too late');
    expect((await run).error).toBeInstanceOf(VerificationError);
    expect(await ask("SELECT to_regclass('b')")).toEqual([null]);
  });

  test('what a step has set on the connection is put back before the note and the next step', async () => {
    const { connect, migrator, applied, ask, schema } = await open();
    await ask(`DO $$ BEGIN CREATE ROLE clerk; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`);
    const db = connect({ max: 1, options: '' });
    db.on(
      'connect',
      (client) => void client.query(`SET search_path = ${schema}; SET work_mem = '5MB'; SET app.office = 'north'`),
    );
    const pgDump = "SELECT pg_catalog.set_config('search_path', '', false); SET lock_timeout = 0; SET ROLE clerk";
    const seen =
      "SELECT current_setting('lock_timeout') AS lock, current_setting('work_mem') AS mem, current_user <> 'clerk' AS me, current_setting('app.office') AS office";
    const list = [
      table('dump', { up: [pgDump] }),
      table('a', { up: [`CREATE TABLE a AS ${seen}`] }),
      table('step by step', { up: [pgDump], transaction: false }),
      table('b', { up: [`CREATE TABLE b AS ${seen}`] }),
    ];
    await migrator(list, { db }).up();
    expect(await applied()).toHaveLength(4);
    const undone = table('c', { up: [pgDump], verify: 'SELECT 1', transaction: false });
    await expect(migrator([...list, undone], { db }).up(), 'and before a way back').rejects.toThrow(VerificationError);
    expect(await ask('TABLE a UNION ALL TABLE b')).toEqual([
      '50ms',
      '5MB',
      true,
      'north',
      '50ms',
      '5MB',
      true,
      'north',
    ]);
  });

  test('each schema has its own notes, and a run that can not have any says so', async () => {
    const { connect, migrator, schema, db, ask } = await open();
    await migrator([table('a')]).up();
    await admin.query(`CREATE SCHEMA ${schema}_tenant`);
    const tenant = connect({ options: `-c search_path=${schema}_tenant,${schema}` });
    expect(await migrator([table('a')], { db: tenant }).plan(), 'the other schema is no answer').toMatchObject([
      { name: 'a' },
    ]);
    expect(await migrator([table('a')], { db: tenant }).up()).toEqual(['a']);
    const moved = table('b', { up: [`CREATE SCHEMA ${schema}_first`] });
    const first = migrator([table('a'), moved], {
      db: connect({ options: `-c search_path=${schema}_first,${schema}` }),
    });
    await expect(first.up(), 'the next run would find no note').rejects.toThrow(InvalidArgumentError);
    expect(await ask(`SELECT to_regnamespace('${schema}_first')`)).toEqual([null]);
    const nowhere = connect({ options: '-c search_path=nowhere' });
    expect((await outcome(migrator([table('a')], { db: nowhere }).up())).error, 'no schema').toMatchObject({
      name: 'MigrationError',
    });
    await db.query('ALTER TABLE migration_history RENAME COLUMN position TO place');
    expect((await outcome(migrator([table('a')]).up())).error, 'a table of ours that is none').toBeInstanceOf(
      MigrationError,
    );
    const plan = { db: nowhere, name: 'n', table: 't', key: 'id', size: 1, transform: { a: '1' } };
    await expect(batchUpdate(plan)).rejects.toMatchObject({ code: '3F000' });
  });

  test('what can not be meant is refused when it is defined', async () => {
    const { db } = await open();
    const a = table('a');
    const filled = (plan: object): Migration => ({
      ...a,
      transaction: false,
      up: [{ backfill: { ...split(10), ...plan } }],
    });
    const bad: [string, () => unknown][] = [
      ['no name', () => defineMigration({ ...a, name: ' ' })],
      ['half a surrogate', () => defineMigration({ ...a, name: 'a\ud83d' })],
      ['U+0000', () => defineMigration({ ...a, up: ['SELECT \0'] })],
      ['a name that is too long', () => defineMigration({ ...a, name: 'é'.repeat(101) })],
      ['no step', () => defineMigration({ ...a, up: [] })],
      ['an empty step', () => defineMigration({ ...a, up: [''] })],
      ['an empty verification', () => defineMigration({ ...a, verify: '' })],
      ['a backfill in a transaction', () => defineMigration({ ...filled({}), transaction: true })],
      ['an index in a transaction', () => defineMigration({ ...index, transaction: true })],
      [
        'an index of nothing',
        () => defineMigration({ ...index, up: [{ index: { name: 'i', table: 't', columns: [] } }] }),
      ],
      ['a table dropped in silence', () => defineMigration({ ...a, up: ['drop  table x'] })],
      ['a column dropped in silence', () => defineMigration({ ...expand, destroys: 'up' })],
      ['a column dropped with fewer words', () => defineMigration({ ...a, up: ['ALTER TABLE x\n  DROP  city'] })],
      ['a table emptied in silence', () => defineMigration({ ...a, up: ['TRUNCATE x'], destroys: 'down' })],
      ['verified, with no way back', () => defineMigration({ ...contract, transaction: false })],
      ['batches of nothing', () => defineMigration(filled({ size: 0 }))],
      ['a pause without end', () => defineMigration(filled({ pauseMs: Number.POSITIVE_INFINITY }))],
      ['a transform of nothing', () => defineMigration(filled({ transform: {} }))],
      ['a transform of the key', () => defineMigration(filled({ transform: { id: 'id + 1' } }))],
      ['a name that Postgres would cut', () => defineMigration(filled({ table: 't'.repeat(64) }))],
      ['two of a name', () => createMigrator({ db, migrations: [a, a] })],
      ['no patience', () => createMigrator({ db, migrations: [a], lockTimeoutMs: 0 })],
      ['more patience than a timer has', () => createMigrator({ db, migrations: [a], lockTimeoutMs: 2 ** 31 })],
      ['no attempt', () => createMigrator({ db, migrations: [a], lockAttempts: 0.5 })],
      ['an unknown end', () => createMigrator({ db, migrations: [a] }).up({ to: 'toString' })],
      ['an unknown way back', () => createMigrator({ db, migrations: [a] }).down({ to: 'b' })],
      ['batches of half a row', () => batchUpdate({ ...split(0.5), db, name: 'n' })],
      ['progress without a name', () => batchUpdate({ ...split(5), db, name: '' })],
    ];
    for (const [what, attempt] of bad) await expect(async () => attempt(), what).rejects.toThrow(InvalidArgumentError);
    const harmless = ['DROP NOT NULL', 'DROP DEFAULT'].map((what) => `ALTER TABLE x ALTER COLUMN y ${what}`);
    defineMigration({ ...a, up: [...harmless, 'ALTER TABLE x DROP  CONSTRAINT y; DROP VIEW z'] });
    defineMigration(filled({ size: 1, pauseMs: 2 ** 31 - 1 }));
    const given = { ...a, up: ['CREATE TABLE a (id integer)'] };
    const migrator = createMigrator({ db, migrations: [given] });
    given.up.push('nonsense');
    expect(await migrator.up(), 'what was given is copied').toEqual(['a']);
  });
});
