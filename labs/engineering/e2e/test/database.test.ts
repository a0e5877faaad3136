import { startPostgres } from '@shared/services';
import { describeWith, outcome, until } from '@shared/testkit';
import { Client, Pool } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { DatabaseBusyError, DatabaseError, InvalidArgumentError, TestDatabase } from '#lab';

await describeWith('rows', { postgres: () => startPostgres() }, ({ postgres }) => {
  const admin = async (sql: string) => {
    const client = new Client({ connectionString: postgres.url });
    client.on('error', () => {});
    await client.connect();
    try {
      return (await client.query(sql)).rows;
    } finally {
      await client.end();
    }
  };
  const exists = async (name: string) =>
    (await admin(`SELECT 1 FROM pg_database WHERE datname = '${name}'`)).length === 1;
  let prefixes = 0;
  /** With a prefix of the law's own: laws run side by side. */
  const create = async (o: Parameters<typeof TestDatabase.create>[1] = {}) => {
    const database = await TestDatabase.create(postgres.url, { prefix: `e2e_law${++prefixes}`, ...o });
    onTestFinished(() => database[Symbol.asyncDispose]().catch(() => {}));
    const app = new Pool({ connectionString: database.url });
    app.on('error', () => {});
    onTestFinished(() => app.end().catch(() => {}));
    return { database, app };
  };
  const rows = async (app: Pool, sql: string) => (await app.query<{ v: unknown }>(sql)).rows.map(({ v }) => v);

  // ── core ──

  test('each test begins with the rows and the numbers of the snapshot, and the app keeps its connections', async () => {
    const { database, app } = await create();
    await app.query(
      "CREATE TABLE books (id serial PRIMARY KEY, title text); INSERT INTO books (title) VALUES ('Dune'), ('Emma')",
    );
    await database.snapshot();
    const before = await rows(app, 'SELECT pg_backend_pid() AS v');
    const test = async () => {
      const [id] = await rows(app, "INSERT INTO books (title) VALUES ('Dracula') RETURNING id AS v");
      await app.query("UPDATE books SET title = 'Dune Messiah' WHERE id = 1; DELETE FROM books WHERE id = 2");
      return id;
    };
    const ids = [];
    for (let n = 0; n < 3; n++) {
      await database.reset();
      expect(await rows(app, 'SELECT title AS v FROM books ORDER BY id'), `before test ${n + 1}`).toEqual([
        'Dune',
        'Emma',
      ]);
      ids.push(await test());
    }
    expect(ids, 'the number of the new book, in each of three tests').toEqual([3, 3, 3]);
    expect(await rows(app, 'SELECT pg_backend_pid() AS v'), 'the connection of the app').toEqual(before);
  });

  // ── hardening ──

  test('two workers at once have each their own rows', async () => {
    const prefix = 'e2e_both';
    const [a, b] = await Promise.all([create({ prefix }), create({ prefix })]);
    for (const { app, database } of [a, b]) {
      await app.query('CREATE TABLE books (title text)');
      await database.snapshot();
    }
    await a.app.query("INSERT INTO books VALUES ('Dune')");
    await b.database.reset();
    expect([
      await rows(a.app, 'SELECT title AS v FROM books'),
      await rows(b.app, 'SELECT title AS v FROM books'),
    ]).toEqual([['Dune'], []]);
  });

  test('rows come back whatever stands between them: keys both ways, triggers, identities, generated columns, partitions, odd names', async () => {
    const { database, app } = await create();
    await app.query(`
      CREATE SCHEMA "Odd ""One";
      CREATE TABLE a (id int PRIMARY KEY, b int);
      CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a);
      ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b;
      INSERT INTO a VALUES (1, NULL); INSERT INTO b VALUES (1, 1); UPDATE a SET b = 1;
      CREATE TABLE log (n int);
      CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1); RETURN NEW; END $$;
      CREATE TRIGGER noted AFTER INSERT ON a FOR EACH ROW EXECUTE FUNCTION note();
      CREATE TABLE "Odd ""One"."select" (id int GENERATED ALWAYS AS IDENTITY, "a b" int, gone int, twice int GENERATED ALWAYS AS ("a b" * 2) STORED);
      ALTER TABLE "Odd ""One"."select" DROP COLUMN gone;
      INSERT INTO "Odd ""One"."select" ("a b") VALUES (7), (8);
      CREATE TABLE parted (n int) PARTITION BY RANGE (n);
      CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (10);
      INSERT INTO parted VALUES (5);
      CREATE TABLE parent (n int); CREATE TABLE child () INHERITS (parent);
      INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2);
      CREATE TABLE "${'长'.repeat(21)}" (n int);
      CREATE TABLE empty ();
    `);
    const dump = async () => [
      await rows(app, 'SELECT (id, b)::text AS v FROM a'),
      await rows(app, 'SELECT (id, a)::text AS v FROM b'),
      await rows(app, 'SELECT n AS v FROM log'),
      await rows(app, 'SELECT (id, "a b", twice)::text AS v FROM "Odd ""One"."select" ORDER BY id'),
      await rows(app, 'SELECT n AS v FROM parted'),
      await rows(app, 'SELECT n AS v FROM parent ORDER BY n'),
    ];
    const first = await dump();
    await database.snapshot();
    await app.query(`UPDATE a SET b = NULL; DELETE FROM b; INSERT INTO a VALUES (2, NULL); DELETE FROM parted;
      INSERT INTO "Odd ""One"."select" ("a b") VALUES (9); DELETE FROM "Odd ""One"."select" WHERE id = 1`);
    await database.reset();
    expect(await dump()).toEqual(first);
    expect(
      await rows(app, 'INSERT INTO "Odd ""One"."select" ("a b") VALUES (9) RETURNING id AS v'),
      'the next number',
    ).toEqual([3]);
  });

  test('a table that came after the snapshot is empty again, and a second snapshot takes the place of the first', async () => {
    const { database, app } = await create();
    await app.query('CREATE TABLE books (title text)');
    await database.snapshot();
    await app.query(
      "CREATE TABLE late (id serial, n int); INSERT INTO late (n) VALUES (1); INSERT INTO books VALUES ('Dune')",
    );
    await database.reset();
    expect([await rows(app, 'SELECT n AS v FROM late'), await rows(app, 'SELECT title AS v FROM books')]).toEqual([
      [],
      [],
    ]);
    expect(await rows(app, 'INSERT INTO late (n) VALUES (1) RETURNING id AS v'), 'its next number').toEqual([1]);
    await app.query("INSERT INTO books VALUES ('Emma')");
    await database.snapshot();
    await app.query("INSERT INTO books VALUES ('Dune')");
    await database.reset();
    expect(await rows(app, 'SELECT title AS v FROM books')).toEqual(['Emma']);
  });

  test('a transaction that a test has left open is named, and the reset after its end works', async () => {
    const { database, app } = await create({ lockTimeoutMs: 100 });
    await app.query('CREATE TABLE books (title text)');
    await database.snapshot();
    const left = await app.connect();
    await left.query("BEGIN; INSERT INTO books VALUES ('half an order')");
    const { error } = await outcome(database.reset());
    expect(error).toBeInstanceOf(DatabaseBusyError);
    expect(`${error}`).toContain("idle in transaction: BEGIN; INSERT INTO books VALUES ('half an order')");
    await left.query('COMMIT');
    left.release();
    await database.reset();
    expect(await rows(app, 'SELECT title AS v FROM books')).toEqual([]);
  });

  test('the database of a run that was killed is dropped by the next, and that of one that lives is not', async () => {
    const prefix = 'e2e_sweep';
    const { database: living } = await create({ prefix });
    const { database: dead } = await create({ prefix });
    // What a kill does to its connections.
    await admin(
      `SELECT pg_terminate_backend(l.pid) FROM pg_locks l WHERE l.locktype = 'advisory' AND l.objid::bigint = (hashtext('${dead.name}')::bigint & 4294967295)`,
    );
    const foreign = 'e2e_sweep_of_somebody';
    await admin(`CREATE DATABASE ${foreign}`);
    await until(
      async () => {
        await using _ = await TestDatabase.create(postgres.url, { prefix });
        return !(await exists(dead.name));
      },
      { what: 'the database of the dead run to be dropped' },
    );
    expect([await exists(living.name), await exists(foreign)], 'that of a living run, and one of another name').toEqual(
      [true, true],
    );
    await admin(`DROP DATABASE ${foreign}`);
  });

  test('in the end it is gone, whoever is still connected', async () => {
    const { database, app } = await create();
    await app.query('SELECT 1');
    expect(await exists(database.name)).toBe(true);
    await Promise.all([database[Symbol.asyncDispose](), database[Symbol.asyncDispose]()]);
    await database[Symbol.asyncDispose]();
    expect(await exists(database.name)).toBe(false);
  });

  test('what can’t be done is said by an error of its own: no server, no right, no snapshot, no sense', async () => {
    const fails = async (url: string, o?: Parameters<typeof TestDatabase.create>[1]) =>
      (await outcome(TestDatabase.create(url, o))).error;
    expect(await fails('postgres://nobody@127.0.0.1:9/x')).toMatchObject({
      name: 'DatabaseError',
      message: expect.stringContaining('127.0.0.1:9'),
    });
    expect(await fails('no url')).toBeInstanceOf(InvalidArgumentError);
    for (const prefix of ['', 'E2E', '1a', 'a-b', `a'b`, 'a'.repeat(31)])
      expect(await fails(postgres.url, { prefix }), prefix).toBeInstanceOf(InvalidArgumentError);
    for (const lockTimeoutMs of [0, -1, 1.5, Number.NaN])
      expect(await fails(postgres.url, { lockTimeoutMs }), `${lockTimeoutMs}`).toBeInstanceOf(InvalidArgumentError);
    expect(await fails('no url', { lockTimeoutMs: 1 }), 'a millisecond').toMatchObject({
      message: expect.stringContaining('adminUrl'),
    });
    const nowhere = new URL(postgres.url);
    nowhere.pathname = '/nowhere';
    const refused = await fails(nowhere.href);
    expect(refused).toMatchObject({ name: 'DatabaseError', message: expect.stringContaining('nowhere') });
    expect(`${refused}`, 'no advice where it does not help').not.toContain('superuser');
    const { database } = await create();
    expect((await outcome(database.reset())).error).toBeInstanceOf(InvalidArgumentError);
    await admin(
      `DO $$ BEGIN CREATE ROLE e2e_guest LOGIN PASSWORD 'guest'; EXCEPTION WHEN duplicate_object THEN END $$`,
    );
    const guest = new URL(postgres.url);
    [guest.username, guest.password] = ['e2e_guest', 'guest'];
    expect(await fails(guest.href)).toMatchObject({
      name: 'DatabaseError',
      message: expect.stringContaining('must be a superuser'),
    });
  });

  test('a connection that breaks between two tests is made again', async () => {
    const { database, app } = await create();
    await app.query('CREATE TABLE books (title text)');
    await database.snapshot();
    await database.reset();
    await admin(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database.name}'`);
    const reset = async () => {
      const { error } = await outcome(database.reset());
      if (error !== undefined) expect(error).toBeInstanceOf(DatabaseError);
      return error === undefined;
    };
    await until(reset, { what: 'a reset to work again' });
  });
});
