import { getEventListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { startPostgres } from '@shared/services';
import { describeWith, History, outcome, random, until } from '@shared/testkit';
import { Pool } from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import {
  ConnectionLostError,
  type Db,
  deleteVersioned,
  type Expected,
  etagOf,
  InvalidArgumentError,
  ifMatch,
  isConflict,
  LockTimeoutError,
  modify,
  modifyLocked,
  NotFoundError,
  type Patch,
  PreconditionRequiredError,
  RetriesExhaustedError,
  type RetryOptions,
  RolledBackError,
  readVersioned,
  runTransaction,
  StaleVersionError,
  serializable,
  updateMany,
  updateVersioned,
  type VersionedRow,
  VersionedTable,
  withRetry,
} from '#lab';
import { gate, type Locker, PATIENT, times, use } from './wall.ts';

const CLIENTS = 16;

await describeWith('optimistic-lock', { postgres: () => startPostgres() }, ({ postgres }) => {
  const pool = new Pool({ connectionString: postgres.url, max: CLIENTS + 4 });
  pool.on('error', () => {});
  beforeAll(async () => {
    // Open, so that who comes first in a race isn't who was connected first.
    const clients = await times(CLIENTS + 4, () => pool.connect());
    for (const client of clients) client.release();
  });
  afterAll(() => pool.end());

  let tables = 0;
  /** A wall of lockers of the test's own, ids 1 to 3, each at version 0. */
  const wall = async (version = 'bigint') => {
    const name = `lockers_${++tables}`;
    await pool.query(`
      CREATE TABLE ${name} (
        id integer PRIMARY KEY, state text UNIQUE, uses integer NOT NULL DEFAULT 0, version ${version} NOT NULL DEFAULT 0);
      INSERT INTO ${name} (id) VALUES (1), (2), (3)`);
    return new VersionedTable<Locker>(name, ['state', 'uses']);
  };
  /** A trigger that ends the connection in the middle of a statement, or of a COMMIT. */
  const deadly = (table: { name: string }, when: 'BEFORE' | 'CONSTRAINT') =>
    pool.query(`
      CREATE OR REPLACE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$;
      CREATE ${when === 'BEFORE' ? 'TRIGGER die BEFORE' : 'CONSTRAINT TRIGGER die AFTER'} UPDATE ON ${table.name}
        ${when === 'BEFORE' ? '' : 'DEFERRABLE INITIALLY DEFERRED'} FOR EACH ROW EXECUTE FUNCTION die()`);
  const waiting = async () => {
    const { rowCount } = await pool.query(
      "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    );
    return rowCount ?? 0;
  };
  /** What Postgres itself throws under this SQLSTATE. */
  const refused = async (code: string): Promise<unknown> => {
    const text = `DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '${code}'; END $$`;
    return (await outcome(pool.query(text))).error;
  };
  // ── core ──

  test('each update moves the version on by one, two in one transaction too', async () => {
    const table = await wall();
    expect(await updateVersioned(pool, table, 1, 0, { state: 'a' })).toEqual({
      id: 1,
      state: 'a',
      uses: 0,
      version: 1,
    });
    await runTransaction(pool, async (tx) => {
      expect(await updateVersioned(tx, table, 1, 1, { state: 'b' })).toMatchObject({ version: 2 });
      expect(await updateVersioned(tx, table, 1, 2, { uses: 1 })).toMatchObject({ version: 3 });
    });
    expect(await readVersioned(pool, table, 1)).toEqual({ id: 1, state: 'b', uses: 1, version: 3 });
    expect(await readVersioned(pool, table, 2)).toEqual({ id: 2, state: null, uses: 0, version: 0 });
  });

  test('of those who read one version one writes', async () => {
    const table = await wall();
    const holder = await pool.connect();
    onTestFinished(() => holder.release());
    await holder.query(`BEGIN; SELECT FROM ${table.name} WHERE id = 1 FOR UPDATE`);
    const attempts = Array.from({ length: CLIENTS }, (_, n) =>
      outcome(updateVersioned(pool, table, 1, 0, { state: `of ${n}` })),
    );
    // All have sent their UPDATE, whatever they looked at before it.
    await Promise.race([
      Promise.all(attempts),
      until(async () => (await waiting()) >= CLIENTS, { what: 'all to want the row' }),
    ]);
    await holder.query('COMMIT');
    const outcomes = await Promise.all(attempts);
    const written = outcomes.filter(({ error }) => error === undefined);
    if (written.length === 0) throw outcomes[0]?.error;
    expect(written.length, `how many of ${CLIENTS} who read version 0 were told that they wrote`).toBe(1);
    expect(await readVersioned(pool, table, 1)).toEqual(written[0]?.value);
  });

  test('whoever is late gets a StaleVersionError and writes nothing; where no row is, a NotFoundError', async () => {
    const table = await wall();
    const winner = await updateVersioned(pool, table, 1, 0, { state: 'a' });
    const late = await outcome(updateVersioned(pool, table, 1, 0, { state: 'b', uses: 7 }));
    expect(late.error, 'at version 0, of a row at 1').toBeInstanceOf(StaleVersionError);
    expect(late.error).toMatchObject({ table: table.name, id: 1, expected: [0], actual: 1, status: 412 });
    const early = await outcome(updateVersioned(pool, table, 1, 2, { state: 'b' }));
    expect(early.error, 'at version 2, of a row at 1').toBeInstanceOf(StaleVersionError);
    expect(await readVersioned(pool, table, 1), 'the row after both').toEqual(winner);
    const nowhere = await outcome(updateVersioned(pool, table, 4, 0, { state: 'b' }));
    expect(nowhere.error, 'of a locker that is not there').toBeInstanceOf(NotFoundError);
    expect(nowhere.error).toMatchObject({ id: 4, status: 404 });
    expect((await outcome(readVersioned(pool, table, 4))).error).toBeInstanceOf(NotFoundError);
  });

  test('conflicts alone are tried again, all of it, at most max times, and the last one is the cause', async () => {
    const stale = new StaleVersionError('lockers', 1, [0], 1);
    const [serialisation, deadlock, duplicate] = [
      await refused('40001'),
      await refused('40P01'),
      await refused('23505'),
    ];
    const runs: number[] = [];
    const failing = (errors: readonly unknown[], max = 10) => {
      runs.length = 0;
      const run = async (attempt: number) => {
        runs.push(attempt);
        const error = errors[attempt - 1];
        if (error) throw error;
        return `done in ${attempt}`;
      };
      return outcome(withRetry(run, { max, sleep: async () => {} }));
    };
    const fourth = await failing([stale, serialisation, deadlock]);
    expect(fourth.error ?? fourth.value, 'three conflicts, then done').toBe('done in 4');
    expect(runs, 'attempts').toEqual([1, 2, 3, 4]);
    for (const error of [
      new Error('could not serialize access due to concurrent update'),
      Object.assign(new Error('deadlock detected'), { code: '40P01' }),
      new NotFoundError('lockers', 1),
      new ConnectionLostError('unknown', serialisation),
      duplicate,
    ]) {
      expect((await failing([error])).error, 'it passes as it came').toBe(error);
      expect(runs, String(error)).toEqual([1]);
    }
    const spent = await failing([stale, deadlock, serialisation, stale], 3);
    expect(runs, 'attempts, at most 3').toEqual([1, 2, 3]);
    expect(spent.error, 'after 3 conflicts of at most 3').toBeInstanceOf(RetriesExhaustedError);
    expect(spent.error).toMatchObject({ attempts: 3, cause: serialisation });
  });

  test('a change is made anew on the row as it is, so that no update is lost', async () => {
    const table = await wall();
    const history = new History();
    const met = gate(CLIENTS);
    const client = async (who: number) => {
      for (let visit = 0; visit < 3; visit++) {
        const written = await modify(
          pool,
          table,
          1,
          async (row) => {
            if (visit === 0) await met();
            return use(row);
          },
          PATIENT,
        );
        history.record(`client ${who}: use ${written.uses} at version ${written.version}`);
      }
    };
    await times(CLIENTS, client);
    expect(await readVersioned(pool, table, 1), `${CLIENTS} × 3 uses were acknowledged`).toMatchObject({
      uses: CLIENTS * 3,
      version: CLIENTS * 3,
    });
    expect(new Set(history.ops).size, 'different answers').toBe(CLIENTS * 3);
  });

  test('an update of many rows makes what was read of any of them old', async () => {
    const table = await wall();
    await updateVersioned(pool, table, 2, 0, { uses: 5 });
    const rows = await updateMany(pool, table, [1, 2, 9], { state: null, uses: 0 });
    expect(rows.toSorted((a, b) => a.id - b.id)).toEqual([
      { id: 1, state: null, uses: 0, version: 1 },
      { id: 2, state: null, uses: 0, version: 2 },
    ]);
    for (const { id, version } of rows) {
      const { error } = await outcome(updateVersioned(pool, table, id, version - 1, { uses: 6 }));
      expect(error, `locker ${id}, read before the update of many`).toBeInstanceOf(StaleVersionError);
    }
    expect(await readVersioned(pool, table, 3)).toMatchObject({ version: 0 });
    expect(await updateMany(pool, table, [], { uses: 0 })).toEqual([]);
  });

  test('whoever takes the lock first decides alone, and once', async () => {
    const table = await wall();
    let inside = 0;
    const crowds: number[] = [];
    const change = async (row: Locker) => {
      crowds.push(++inside);
      await pool.query('SELECT');
      inside--;
      return use(row);
    };
    const outcomes = await times(CLIENTS, () => outcome(modifyLocked(pool, table, 1, change)));
    for (const { error } of outcomes) if (error) throw error;
    expect(crowds, 'how many decided at a time').toEqual(Array(CLIENTS).fill(1));
    expect(await readVersioned(pool, table, 1)).toMatchObject({ uses: CLIENTS, version: CLIENTS });
    const { error } = await outcome(modifyLocked(pool, table, 4, use));
    expect(error, 'of a locker that is not there').toBeInstanceOf(NotFoundError);
  });

  test('a rule over two rows is kept: who met another looks again, in a new transaction', async () => {
    const table = await wall();
    const met = gate(2);
    let runs = 0;
    /** Locker 1 or 2 is closed, unless it is the last one that is open (state is null). */
    const close = (id: number) =>
      serializable(
        pool,
        async (tx) => {
          runs++;
          const open = [];
          for (const each of [1, 2]) {
            const row = await readVersioned(tx, table, each);
            if (row.state === null) open.push(row);
          }
          await met();
          const mine = open.find((row) => row.id === id);
          if (!mine || open.length < 2) return 'stays open';
          await updateVersioned(tx, table, id, mine.version, { state: `closed ${id}` });
          return 'closed';
        },
        PATIENT,
      );
    const answers = await Promise.all([close(1), close(2)]);
    const open = await pool.query(`SELECT FROM ${table.name} WHERE id < 3 AND state IS NULL`);
    expect(open.rowCount, 'lockers left open').toBe(1);
    expect(answers.toSorted()).toEqual(['closed', 'stays open']);
    expect(runs, 'runs of two bodies, one of them again').toBe(3);
  });

  test('If-Match compares strongly: no header is 428, no tag that fits is 412, and a weak one never fits', async () => {
    const table = await wall();
    for (let version = 0; version < 3; version++) await updateVersioned(pool, table, 1, version, { uses: version });
    const put = async (header: string | undefined) => {
      const answer = async () => {
        const { version } = await updateVersioned(pool, table, 1, ifMatch(header), { state: 'a' });
        return etagOf(version);
      };
      const { value, error } = await outcome(answer());
      return (
        value ??
        (error instanceof PreconditionRequiredError || error instanceof StaleVersionError ? error.status : error)
      );
    };
    expect(await put(undefined), 'no header').toBe(428);
    expect(await put('"2"'), 'an old tag').toBe(412);
    expect(await put('W/"3"'), 'a weak tag').toBe(412);
    expect(await put('"2,3"'), 'one tag with a comma').toBe(412);
    expect(await put('"3"'), 'the tag of now').toBe('"4"');
    expect(await put('"1", W/"9", "4"'), 'a list with the tag').toBe('"5"');
    expect(await put('"1", W/"5", "4"'), 'a list without it').toBe(412);
    expect(await put('*'), 'any').toBe('"6"');
  });

  // ── hardening ──

  test('If-Match is read as RFC 9110 writes it, and what is no list of tags is refused', () => {
    const good: [string, Expected][] = [
      ['"0"', [0]],
      [' "3" ', [3]],
      [',, "3",\t"4" ,,"5",', [3, 4, 5]],
      ['"3","x","","é","9007199254740991","9007199254740992"', [3, 9007199254740991]],
      ['"03", "3.0", "3e0", "+3", "0x3", "-3"', []],
      ['W/"3"', []],
      [' * ', '*'],
    ];
    for (const [header, expected] of good) expect(ifMatch(header), header).toEqual(expected);
    const bad = '| |,|3|"3|"3" "4"|"3""4"|w/"3"|W/ "3"|*, "3"|"3", *|"3";|" 3"|"٣"|\u00a0*'.split('|');
    for (const header of bad) expect(() => ifMatch(header), JSON.stringify(header)).toThrow(InvalidArgumentError);
    // A megabyte of spaces: quadratic time would end in a timeout.
    expect(() => ifMatch(`"1"${' '.repeat(1 << 20)}x`)).toThrow(InvalidArgumentError);
  });

  test('an argument that makes no sense is refused before anything is sent', async () => {
    const asked: string[] = [];
    const db = { query: async (text: string) => Promise.reject(new Error(`sent: ${asked.push(text)}`)) };
    const table = new VersionedTable<Locker>('lockers', ['state', 'uses']);
    const patch = (text: string): Patch<Locker> => JSON.parse(text);
    const never = async () => expect.unreachable();
    const cases: [string, () => unknown][] = [
      ['no table', () => new VersionedTable<Locker>('', [])],
      ['no schema', () => new VersionedTable<Locker>('.lockers', [])],
      ['a name that Postgres would cut', () => new VersionedTable<Locker>('柜'.repeat(22), [])],
      ['64 bytes', () => new VersionedTable<Locker>('a'.repeat(64), [])],
      ['half a character', () => new VersionedTable<Locker>('a\ud83d', [])],
      ['version as a column', () => new VersionedTable<VersionedRow>('lockers', JSON.parse('["version"]'))],
      ['id as a column', () => new VersionedTable<VersionedRow>('lockers', JSON.parse('["id"]'))],
      ['no id', () => readVersioned(db, table, Number.NaN)],
      ['an id of nothing', () => deleteVersioned(db, new VersionedTable<VersionedRow>('lockers', []), '', 0)],
      ['an id with U+0000', () => readVersioned(db, new VersionedTable<VersionedRow>('lockers', []), 'a\0')],
      ['half an id', () => readVersioned(db, new VersionedTable<VersionedRow>('lockers', []), 'a\ud83d')],
      ['half a locker', () => updateMany(db, table, [1, 1.5], { uses: 1 })],
      ['no version', () => updateVersioned(db, table, 1, Number.NaN, { uses: 1 })],
      ['a negative version', () => updateVersioned(db, table, 1, [1, -1], { uses: 1 })],
      ['a version as text', () => updateVersioned(db, table, 1, JSON.parse('["1"]'), { uses: 1 })],
      ['any, said otherwise', () => updateVersioned(db, table, 1, JSON.parse('null'), { uses: 1 })],
      ['an empty patch', () => updateVersioned(db, table, 1, 0, {})],
      ['an empty patch of many', () => updateMany(db, table, [1], {})],
      ['no patch', () => updateVersioned(db, table, 1, 0, patch('null'))],
      ['a version of the client’s', () => updateVersioned(db, table, 1, 0, patch('{"version":9}'))],
      ['another id', () => updateVersioned(db, table, 1, 0, patch('{"id":2}'))],
      ['an unknown column', () => updateVersioned(db, table, 1, 0, patch('{"owner":"me"}'))],
      ['a statement as a column', () => updateVersioned(db, table, 1, 0, patch('{"uses = 9 --":1}'))],
      ['toString', () => updateVersioned(db, table, 1, 0, patch('{"toString":1}'))],
      ['__proto__', () => updateVersioned(db, table, 1, 0, patch('{"__proto__":1}'))],
      ['undefined', () => updateVersioned(db, table, 1, 0, Object.fromEntries([['state', undefined]]))],
      ['no JSON', () => updateVersioned(db, table, 1, 0, Object.fromEntries([['state', [{ n: 1n }]]]))],
      ['half a text', () => updateVersioned(db, table, 1, 0, { state: 'a\ud83d' })],
      ['a text with U+0000', () => updateVersioned(db, table, 1, 0, { state: 'a\0' })],
      ['no attempt', () => withRetry(never, { max: 0 })],
      ['half an attempt', () => withRetry(never, { max: 1.5 })],
      ['a negative pause', () => withRetry(never, { baseMs: -1 })],
      ['an endless pause', () => withRetry(never, { capMs: Number.POSITIVE_INFINITY })],
      ['a pause that no timer knows', () => withRetry(never, { capMs: 2 ** 31 })],
      ['no lock timeout', () => runTransaction(pool, never, { lockTimeoutMs: Number.NaN })],
      ['a negative idle time', () => runTransaction(pool, never, { idleMs: -1 })],
      [
        'a level of its own',
        () => runTransaction(pool, never, JSON.parse('{"isolation":"READ COMMITTED; DROP TABLE x"}')),
      ],
      ['no etag', () => etagOf(1.5)],
    ];
    for (const [what, call] of cases) {
      const { error } = await outcome((async () => call())());
      expect(error, what).toBeInstanceOf(InvalidArgumentError);
      expect(error).toMatchObject({ status: 400 });
    }
    expect(asked).toEqual([]);
    expect(new VersionedTable<Locker>('柜'.repeat(21), []).name, '63 bytes').toBe(`"${'柜'.repeat(21)}"`);
    expect(await withRetry(async () => 'done', { capMs: 2 ** 31 - 1 })).toBe('done');
  });

  test('a name is a name, whatever it says, and an id is what it was', async () => {
    const hostile = `shop "${++tables}"; --`;
    await pool.query(
      `CREATE TABLE "${hostile.replaceAll('"', '""')}" (id text PRIMARY KEY, "o""k" text[], version integer NOT NULL DEFAULT 0)`,
    );
    const table = new VersionedTable<VersionedRow & { readonly 'o"k': string[] }>(`public.${hostile}`, ['o"k']);
    const ids = ["7' OR true --", '7', '柜子', '7,8'];
    for (const id of ids) await pool.query(`INSERT INTO ${table.name} (id) VALUES ($1)`, [id]);
    await updateVersioned(pool, table, "7' OR true --", 0, { 'o"k': ['"', "'"] });
    expect(await updateMany(pool, table, ['7', '7,8'], { 'o"k': [] })).toHaveLength(2);
    expect(await readVersioned(pool, table, "7' OR true --")).toEqual({
      id: "7' OR true --",
      'o"k': ['"', "'"],
      version: 1,
    });
    expect(await readVersioned(pool, table, '柜子')).toMatchObject({ version: 0 });
  });

  test('a row is deleted at the version that was read, or not at all', async () => {
    const table = await wall();
    const row = await updateVersioned(pool, table, 1, 0, { state: 'a' });
    expect((await outcome(deleteVersioned(pool, table, 1, 0))).error).toMatchObject({ actual: 1 });
    expect(await deleteVersioned(pool, table, 1, 1)).toEqual(row);
    expect((await outcome(deleteVersioned(pool, table, 1, 1))).error).toBeInstanceOf(NotFoundError);
    expect((await outcome(updateVersioned(pool, table, 1, '*', { uses: 1 }))).error).toBeInstanceOf(NotFoundError);
    expect(await deleteVersioned(pool, table, 2, '*')).toMatchObject({ id: 2 });
    expect((await outcome(deleteVersioned(pool, table, 3, []))).error).toMatchObject({ actual: 0, status: 412 });
  });

  test('a row that nobody may write is neither stale nor gone, and is not tried again', async () => {
    const table = await wall();
    const late: Db = {
      query: async (text, values) => {
        if (text.startsWith('SELECT')) await pool.query(`INSERT INTO ${table.name} (id) VALUES (4)`);
        return pool.query(text, values);
      },
    };
    expect(await updateVersioned(late, table, 4, '*', { uses: 1 }), 'it came in between').toMatchObject({ version: 1 });
    await pool.query(`
      CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
      CREATE TRIGGER skip BEFORE UPDATE OR DELETE ON ${table.name} FOR EACH ROW EXECUTE FUNCTION skip()`);
    let asked = 0;
    const change = (row: Locker) => use({ ...row, uses: asked++ });
    const withheld = { name: 'WriteWithheldError', table: table.name, id: 1, status: 403 };
    expect((await outcome(modify(pool, table, 1, change))).error).toMatchObject(withheld);
    expect((await outcome(deleteVersioned(pool, table, 1, '*'))).error).toMatchObject(withheld);
    expect(asked).toBe(1);
  });

  test('a version is a number beyond 32 bits too, and no version is too large to be stale', async () => {
    const large = await wall();
    await pool.query(`UPDATE ${large.name} SET version = 9007199254740990`);
    expect(await updateVersioned(pool, large, 1, 9007199254740990, { uses: 1 })).toMatchObject({
      version: 9007199254740991,
    });
    const small = await wall('integer');
    expect((await outcome(updateVersioned(pool, small, 1, 3e9, { uses: 1 }))).error).toBeInstanceOf(StaleVersionError);
    expect((await outcome(updateVersioned(pool, small, 1, [], { uses: 1 }))).error).toMatchObject({
      expected: [],
      message: `${small.name} 1 is at version 0, and no version of ours was expected: read it again.`,
    });
    const [list, columns]: [number[], ('state' | 'uses')[]] = [[7], ['state']];
    const { error } = await outcome(updateVersioned(pool, small, 1, list, { uses: 1 }));
    list.push(8);
    expect(error).toMatchObject({ expected: [7] });
    const table = new VersionedTable<Locker>(small.name, columns);
    columns.push('uses');
    expect(table.columns).toEqual(['state']);
  });

  test('pauses grow from baseMs to capMs, each a random part of its own', async () => {
    const stale = new StaleVersionError('lockers', 1, [0], 1);
    const pauses = async (options: RetryOptions) => {
      const slept: number[] = [];
      const sleep = async (ms: number) => slept.push(ms);
      await outcome(withRetry(() => Promise.reject(stale), { max: 7, ...options, sleep }));
      return slept;
    };
    const slept: number[] = [];
    await outcome(withRetry(() => Promise.reject(stale), { random: () => 1, sleep: async (ms) => slept.push(ms) }));
    expect(slept, 'by default').toEqual([5, 10, 20, 40, 80, 160, 320, 500, 500]);
    const most = { baseMs: 5, capMs: 100, random: () => 1 };
    expect(await pauses(most), 'at most').toEqual([5, 10, 20, 40, 80, 100]);
    expect(await pauses({ ...most, baseMs: 0, max: 1_100 })).toEqual(Array(1_099).fill(0));
    const { next } = random(7);
    const expected = random(7);
    expect(await pauses({ ...most, random: next })).toEqual([5, 10, 20, 40, 80, 100].map((ms) => ms * expected.next()));
    const drawn = await pauses({ baseMs: 1_000, capMs: 1_000, max: 33 });
    expect(new Set(drawn).size, 'without a source of its own').toBeGreaterThan(30);
    expect(Math.min(...drawn)).toBeLessThan(400);
    expect(Math.max(...drawn)).toBeLessThan(1_000);
  });

  test('whoever aborts gets his reason, before, in a pause and instead of the last conflict', async () => {
    const stale = new StaleVersionError('lockers', 1, [0], 1);
    const reason = new Error('the customer has left');
    let runs = 0;
    const conflict = async () => {
      runs++;
      throw stale;
    };
    const never = { signal: AbortSignal.abort(reason) };
    expect((await outcome(withRetry(conflict, never))).error).toBe(reason);
    expect(runs).toBe(0);

    const pausing = new AbortController();
    const { signal } = pausing;
    const paused = outcome(withRetry(conflict, { signal, baseMs: 60_000, capMs: 60_000, random: () => 0.9 }));
    await until(() => getEventListeners(signal, 'abort').length > 0, { what: 'the pause' });
    pausing.abort(reason);
    expect((await paused).error).toBe(reason);
    expect(runs).toBe(1);

    const late = new AbortController();
    const last = async () => {
      late.abort(reason);
      throw stale;
    };
    expect((await outcome(withRetry(last, { max: 1, signal: late.signal }))).error).toBe(reason);

    const lost = new ConnectionLostError('unknown', stale);
    const breaking = new AbortController();
    const worse = withRetry(
      async () => {
        breaking.abort(reason);
        throw lost;
      },
      { signal: breaking.signal },
    );
    expect((await outcome(worse)).error, 'it may have been written, and that must be said').toBe(lost);

    const done = new AbortController();
    const value = await withRetry(
      async (attempt) => {
        if (attempt < 4) throw stale;
        done.abort(reason);
        return attempt;
      },
      { baseMs: 0, signal: done.signal },
    );
    expect(value, 'what was done is done').toBe(4);
    expect(getEventListeners(done.signal, 'abort'), 'left on the signal').toEqual([]);
  });

  test('what a change throws passes, once, and nothing is written', async () => {
    const table = await wall();
    const no = new Error('the locker is broken');
    for (const means of [modify, modifyLocked]) {
      let asked = 0;
      const refuse = () => {
        asked++;
        throw no;
      };
      expect((await outcome(means(pool, table, 1, refuse))).error).toBe(no);
      expect(asked).toBe(1);
    }
    await updateVersioned(pool, table, 2, 0, { state: 'a' });
    const twice = await outcome(modify(pool, table, 1, () => ({ state: 'a' })));
    expect(twice.error, "a constraint's error comes as Postgres says it").toMatchObject({ code: '23505' });
    expect(isConflict(twice.error)).toBe(false);
    expect(await readVersioned(pool, table, 1)).toMatchObject({ version: 0 });
    expect((await outcome(modify(pool, table, 1, use, { max: 1 }))).value).toMatchObject({ version: 1 });
  });

  test('a stale version inside a snapshot is a conflict of the whole transaction', async () => {
    const table = await wall();
    const met = gate(2);
    const visit = async (tx: Db) => {
      const row = await readVersioned(tx, table, 1);
      await met();
      return updateVersioned(tx, table, 1, row.version, use(row));
    };
    const snapshot = () => withRetry(() => runTransaction(pool, visit, { isolation: 'REPEATABLE READ' }), PATIENT);
    const rows = await Promise.all([snapshot(), snapshot()]);
    expect(rows.map(({ version }) => version).toSorted()).toEqual([1, 2]);
  });

  test('a transaction that failed inside is rolled back, and never taken for committed', async () => {
    const table = await wall();
    const own = new Pool({ connectionString: postgres.url, max: 1 });
    onTestFinished(() => own.end());
    const no = new Error('no');
    let stray: () => Promise<unknown> = async () => {};
    const thrown = runTransaction(own, async (tx) => {
      stray = () => updateVersioned(tx, table, 1, '*', { uses: 9 });
      await updateVersioned(tx, table, 1, 0, { uses: 1 });
      throw no;
    });
    expect((await outcome(thrown)).error).toBe(no);
    expect((await outcome(stray())).error, 'not awaited inside').toMatchObject({ name: 'TransactionOverError' });
    const swallowed = runTransaction(own, async (tx) => {
      await updateVersioned(tx, table, 1, 0, { uses: 1 });
      await tx.query('SELECT 1 / 0').catch(() => {});
    });
    expect((await outcome(swallowed)).error).toBeInstanceOf(RolledBackError);
    const { rows } = await own.query(`SELECT version FROM ${table.name} WHERE id = 1`);
    expect(rows, 'on the same connection, outside of any transaction').toEqual([{ version: '0' }]);
    const settings = `SELECT string_agg(setting, ' ' ORDER BY name) AS now FROM pg_settings
      WHERE name IN ('idle_in_transaction_session_timeout', 'lock_timeout', 'transaction_isolation')`;
    const before = (await own.query(settings)).rows;
    const inside = await runTransaction(own, async (tx) => (await tx.query(settings)).rows);
    expect(inside, 'milliseconds, by default').toEqual([{ now: '10000 5000 read committed' }]);
    expect((await own.query(settings)).rows, 'and none of it afterwards').toEqual(before);
  });

  test('a connection that dies says whether anything was written, is not used again, and is no conflict', async () => {
    const own = new Pool({ connectionString: postgres.url, max: 1 });
    own.on('error', () => {});
    onTestFinished(() => own.end());
    const [inside, atCommit] = [await wall(), await wall()];
    await deadly(inside, 'BEFORE');
    await deadly(atCommit, 'CONSTRAINT');
    let runs = 0;
    const body = (table: VersionedTable<Locker>) => async (tx: Db) => {
      runs++;
      await updateVersioned(tx, table, 1, 0, { uses: 1 });
    };
    const lost = async (call: Promise<unknown>, written: 'no' | 'unknown') => {
      const { error } = await outcome(call);
      expect(error).toBeInstanceOf(ConnectionLostError);
      const message = written === 'no' ? /nothing was written/ : /may have been done/;
      expect(error).toMatchObject({ written, cause: expect.any(Error), message: expect.stringMatching(message) });
      expect(await own.query('SELECT 1 AS one'), 'the next one').toMatchObject({ rows: [{ one: 1 }] });
    };
    await lost(serializable(own, body(inside)), 'no');
    await lost(serializable(own, body(atCommit)), 'unknown');
    expect(runs, 'each once').toBe(2);
    await lost(updateVersioned(own, inside, 1, 0, { uses: 1 }), 'unknown');
    const swallowed = runTransaction(own, (tx) => body(inside)(tx).catch(() => {}));
    await lost(swallowed, 'unknown');
    await lost(
      runTransaction(own, () => own.query('SELECT'), { idleMs: 50 }),
      'no', // It waited under its only connection for another one, until Postgres ended that.
    );
    for (const [statement, written] of [
      ['BEGIN', 'no'],
      ['COMMIT', 'unknown'],
    ] as const) {
      own.once('acquire', (client) => {
        const { query } = client;
        const unheard = async (text: string, values: unknown[]) => {
          const answer = await Reflect.apply(query, client, [text, values]);
          if (!text.startsWith(statement)) return answer;
          Object.assign(client, { query });
          throw new Error('Query read timeout');
        };
        Object.assign(client, { query: unheard });
      });
      await lost(
        runTransaction(own, async () => {}),
        written,
      );
    }
    own.once('acquire', (client) => void client.end());
    await lost(runTransaction(own, body(inside)), 'no');
    expect(runs, 'without a BEGIN no body').toBe(3);
    own.on('acquire', (client) => queueMicrotask(() => client.emit('error', new Error('gone with the greeting'))));
    expect((await outcome(runTransaction(own, async () => expect.unreachable()))).error).toMatchObject({
      written: 'no',
    });
    expect(own.totalCount, 'kept of a connection that said so').toBe(0);
    const nowhere = new Pool({ host: '127.0.0.1', port: 1 });
    const none = await outcome(runTransaction(nowhere, async () => expect.unreachable()));
    expect(none.error).toMatchObject({ written: 'no', name: 'ConnectionLostError' });
  });

  test('a lock is waited for as long as was said, and whoever stands still under it loses it', async () => {
    const table = await wall();
    const still = runTransaction(
      pool,
      async (tx) => {
        await tx.query(`SELECT FROM ${table.name} WHERE id = 1 FOR UPDATE`);
        const hasty = await outcome(modifyLocked(pool, table, 1, use, { lockTimeoutMs: 5 }));
        expect(hasty.error).toBeInstanceOf(LockTimeoutError);
        expect(hasty.error).toMatchObject({ cause: { code: '55P03' } });
        return modifyLocked(pool, table, 1, use);
      },
      { idleMs: 100 },
    );
    expect((await outcome(still)).error).toMatchObject({ name: 'ConnectionLostError' });
    expect(await readVersioned(pool, table, 1), 'who waited has written').toMatchObject({ version: 1, uses: 1 });
  });

  test('while connections are killed, each acknowledged change is in the row, once', async () => {
    const table = await wall();
    const history = new History();
    const own = new Pool({ connectionString: postgres.url, max: CLIENTS, application_name: table.name });
    own.on('error', () => {});
    onTestFinished(() => own.end());
    const means = [
      () => modify(own, table, 1, use, PATIENT),
      () => modifyLocked(own, table, 1, use),
      () =>
        serializable(
          own,
          async (tx) => {
            const row = await readVersioned(tx, table, 1);
            return updateVersioned(tx, table, 1, row.version, use(row));
          },
          PATIENT,
        ),
    ];
    let working = true;
    const { int } = random(1);
    const killer = async () => {
      for (; working; await delay(int(0, 4))) {
        const skip = int(0, CLIENTS - 1);
        await pool.query(
          `SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity
             WHERE application_name = '${table.name}' AND state <> 'idle' OFFSET $1 LIMIT 1) victim`,
          [skip],
        );
      }
    };
    const tally = { acknowledged: 0, unknown: 0, none: 0 };
    const client = async (who: number) => {
      for (let visit = 0; visit < 6; visit++) {
        const { value, error } = await outcome(means[(who + visit) % 3]?.() ?? expect.unreachable(), 10_000);
        history.record(`client ${who}: ${value ? `version ${value.version}` : error}`);
        if (value) tally.acknowledged++;
        else if (error instanceof ConnectionLostError) tally[error.written === 'no' ? 'none' : 'unknown']++;
        else throw error;
      }
    };
    const killing = killer();
    await times(CLIENTS, client).finally(() => {
      working = false;
    });
    await killing;
    const { uses, version } = await readVersioned(pool, table, 1);
    expect(uses).toBe(version);
    expect(version).toBeGreaterThanOrEqual(tally.acknowledged);
    expect(version).toBeLessThanOrEqual(tally.acknowledged + tally.unknown);
    expect(tally.none + tally.unknown, 'killed').toBeGreaterThan(0);
  });
});
