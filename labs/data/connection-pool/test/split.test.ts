import { startPostgres } from '@shared/services';
import { describeWith, outcome, until } from '@shared/testkit';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import {
  AcquireTimeoutError,
  ConnectError,
  InvalidArgumentError,
  type Lease,
  QueueFullError,
  SplitPool,
  WriteInReadError,
} from '#lab';
import { bank, pidOf } from './bank.ts';

await describeWith('split pool', { postgres: () => startPostgres({ standby: 1 }) }, ({ postgres }) => {
  const [standby] = postgres.standbys;
  /** A connection to the standby that no pool has. */
  const there = new Client({ connectionString: standby.url });
  there.on('error', () => {});
  beforeAll(() => there.connect());
  afterAll(() => there.end());

  /** A table `t` on both servers, a pool for each, and a count. */
  const open = async (urls = { primary: postgres.url, replica: standby.url }, options = {}) => {
    const home = await bank(postgres.url);
    await home.admin.query(`CREATE TABLE ${home.schema}.t (n int)`);
    const limits = { max: 2, answerMs: 2_000 };
    const [primary, replica] = [home.open(limits, urls.primary), home.open(limits, urls.replica)];
    const split = new SplitPool({ primary, replicas: [replica] }, { waitMs: 20, answerMs: 400, ...options });
    const count = async (client: Lease) =>
      (await client.query<{ n: number }>('SELECT count(*)::int AS n FROM t')).rows[0]?.n;
    const add = (n: number) => split.write((tx) => tx.query('INSERT INTO t VALUES ($1)', [n]));
    /** Where a read was answered. */
    const where = async (client: Lease) =>
      (await client.query<{ r: boolean }>('SELECT pg_is_in_recovery() AS r')).rows[0]?.r ? 'replica' : 'primary';
    await until(() => there.query(`TABLE ${home.schema}.t`), { what: 'the table on the standby' });
    // A first connection may take longer than anybody waits here.
    for (const pool of [primary, replica]) await pool.withClient(pidOf, { timeoutMs: 10_000 });
    return { ...home, primary, replica, split, count, add, where };
  };
  const lagging = async (body: () => Promise<void>) => {
    await standby.pauseReplay();
    try {
      await body();
    } finally {
      await standby.resumeReplay();
    }
  };

  test('a reader sees his own write: on a replica that has it, else on the primary', async () => {
    const { split, count, add, where } = await open();
    await lagging(async () => {
      const { lsn } = await add(1);
      expect(await split.read(count), 'who shows no lsn may see the past').toBe(0);
      expect(await split.read(count, { after: lsn })).toBe(1);
      expect(await split.read(where, { after: lsn })).toBe('primary');
    });
    const { lsn } = await add(2);
    const both = async (client: Lease) => [await where(client), await count(client)];
    await until(async () => (await split.read(where, { after: lsn })) === 'replica');
    expect(await split.read(both, { after: lsn })).toEqual(['replica', 2]);
  });

  test('a read waits for a lag that is short, and not longer than waitMs', async () => {
    const { split, count, add, where } = await open(undefined, { waitMs: 60_000 });
    await lagging(async () => {
      const { lsn } = await add(1);
      const patient = split.read(async (client) => [await where(client), await count(client)], { after: lsn });
      setTimeout(() => standby.resumeReplay(), 30);
      expect((await outcome(patient, 4_000)).value).toEqual(['replica', 1]);
    });
  });

  test('a write in a read is refused on either server, and nothing is sent elsewhere', async () => {
    const { split, admin, schema } = await open();
    const sneak = (client: Lease) => client.query('INSERT INTO t VALUES (1)');
    for (const after of [undefined, 'FFFFFFFF/FFFFFFFF']) {
      const { error } = await outcome(split.read(sneak, after === undefined ? {} : { after }));
      expect(error).toBeInstanceOf(WriteInReadError);
      expect(error).toMatchObject({ cause: { code: '25006' } });
    }
    expect((await admin.query(`TABLE ${schema}.t`)).rowCount).toBe(0);
    // Any other refusal is no write.
    const { error } = await outcome(split.read((client) => client.query('SELECT 1 / 0')));
    expect(error).toMatchObject({ name: 'error', code: '22012' });
  });

  test('reads go to the primary while the replica is down or silent, and it is asked again when it is back', {
    timeout: 15_000,
  }, async () => {
    await using net = await standby.proxy();
    const behind = new URL(standby.url);
    behind.port = String(net.port);
    const { split, replica, where } = await open({ primary: postgres.url, replica: behind.href });
    expect(await split.read(where)).toBe('replica');
    net.partition();
    expect(await split.read(where), 'it says nothing').toBe('primary');
    const asked = vi.spyOn(replica, 'acquire');
    expect(await split.read(where), 'it is left alone for a while').toBe('primary');
    expect(asked).not.toHaveBeenCalled();
    net.heal();
    net.reset();
    await until(async () => (await split.read(where)) === 'replica', {
      timeoutMs: 10_000,
      what: 'the replica to be asked again',
    });
    expect(replica.stats.lent).toBe(0);
  });

  test('a read whose replica is lost in the middle is run again on the primary', async () => {
    const { split, where } = await open();
    const answers: string[] = [];
    const read = split.read(async (client) => {
      answers.push(await where(client));
      if (answers.length === 1) {
        await there.query('SELECT pg_terminate_backend($1)', [await pidOf(client)]);
        await until(() => client.member.broken);
      }
      return where(client);
    });
    expect((await outcome(read, 4_000)).value).toBe('primary');
    expect(answers).toEqual(['replica', 'primary']);
  });

  test('a replica whose connections are all in use is busy, not down: its readers do not fall on the primary', async () => {
    const { split, replica, where } = await open();
    const held = [await replica.acquire(), await replica.acquire()];
    expect((await outcome(split.read(where, { timeoutMs: 20 }))).error).toBeInstanceOf(AcquireTimeoutError);
    const queue = Array.from({ length: 100 }, () => outcome(replica.acquire(), 4_000));
    expect((await outcome(split.read(where))).error).toBeInstanceOf(QueueFullError);
    await replica.close({ graceMs: 0 });
    await Promise.all(queue);
    expect(held).toHaveLength(2);
  });

  test('a replica that falls silent while a reader is inside is down, not busy', async () => {
    await using net = await standby.proxy();
    const behind = new URL(standby.url);
    behind.port = String(net.port);
    const { split, replica, where } = await open({ primary: postgres.url, replica: behind.href }, { answerMs: 100 });
    const inside = await replica.acquire();
    net.partition();
    expect(await split.read(where)).toBe('primary');
    net.heal();
    inside.release();
  });

  test('replicas are asked in turn, and one that has room before one that is busy', async () => {
    const { primary, replica, open: another, where } = await open();
    const busy = another({ max: 1, acquireTimeoutMs: 50 }, standby.url);
    const split = new SplitPool({ primary, replicas: [busy, replica] });
    // A first connection may take longer than anybody waits here.
    const held = await busy.acquire({ timeoutMs: 5000 });
    await replica.withClient(pidOf, { timeoutMs: 5000 });
    for (let n = 0; n < 4; n++) expect(await split.read(where, { timeoutMs: 500 })).toBe('replica');
    held.release();
    const asked = () => split.read(async () => (busy.stats.lent > 0 ? 'first' : 'second'));
    expect([await asked(), await asked(), await asked(), await asked()]).toEqual([
      'first',
      'second',
      'first',
      'second',
    ]);
    await replica.acquire();
    expect([await asked(), await asked()], 'whosever turn it is').toEqual(['first', 'first']);
  });

  test('what a read has from elsewhere says nothing of its replica, and the read is not run twice', async () => {
    const { split, open: another, where } = await open();
    const elsewhere = another({}, 'postgres://a:b@127.0.0.1:1/c');
    let runs = 0;
    const read = split.read(() => {
      runs++;
      return elsewhere.withClient(pidOf);
    });
    expect((await outcome(read)).error).toBeInstanceOf(ConnectError);
    expect(runs).toBe(1);
    expect(await split.read(where)).toBe('replica');
  });

  test('waits that no timer can keep are refused, and what is not said has the documented default', async () => {
    const { primary } = await open();
    class Probe extends SplitPool {
      readonly complete = [this.waitMs, this.answerMs];
    }
    expect(new Probe({ primary, replicas: [] }).complete).toEqual([50, 1_000]);
    for (const options of [
      { waitMs: Number.NaN },
      { waitMs: -1 },
      { answerMs: 0 },
      { answerMs: Number.POSITIVE_INFINITY },
    ]) {
      expect(() => new SplitPool({ primary, replicas: [] }, options)).toThrow(InvalidArgumentError);
    }
  });

  test('an lsn that is none is refused; one that could not be had sends the reader to the primary', async () => {
    const { split, count, where } = await open();
    for (const after of ['', '0/0/0', "0/0' OR true", '12', 'x/y']) {
      expect((await outcome(split.read(count, { after }))).error, after).toBeInstanceOf(InvalidArgumentError);
    }
    const { lsn, value } = await split.write(async (tx) => {
      const conclude = tx.conclude.bind(tx);
      tx.conclude = (text) =>
        text.includes('pg_current_wal_insert_lsn') ? Promise.reject(new Error('lost')) : conclude(text);
      return 'written';
    });
    expect([value, lsn]).toEqual(['written', 'FFFFFFFF/FFFFFFFF']);
    expect(await split.read(where, { after: lsn })).toBe('primary');
  });

  test('a pool that was told the servers the wrong way round finds out with the first write', async () => {
    const { split, primary, count, add, where } = await open({ primary: standby.url, replica: postgres.url });
    expect((await add(1)).value.rowCount).toBe(1);
    expect((await add(2)).value.rowCount).toBe(1);
    await until(async () => (await split.read(where)) === 'replica' && (await split.read(count)) === 2);
    // What was lost on a primary that is still it is not done again.
    let runs = 0;
    const lost = split.write((tx) => {
      runs++;
      return tx.query('SELECT pg_terminate_backend(pg_backend_pid())');
    });
    expect((await outcome(lost)).error).toMatchObject({ name: 'ConnectionLostError' });
    expect(runs).toBe(1);
    // Its own refusal is no reason to look elsewhere.
    const own = split.write(async (tx) => {
      await tx.query('SET TRANSACTION READ ONLY');
      await tx.query('INSERT INTO t VALUES (3)');
    });
    expect((await outcome(own)).error).toMatchObject({ code: '25006' });
    // Of any other nobody else is asked.
    const elsewhere = vi.spyOn(primary, 'withClient');
    const refused = split.write((tx) => tx.query('SELECT 1 / 0'));
    expect((await outcome(refused)).error).toMatchObject({ code: '22012' });
    expect(elsewhere).not.toHaveBeenCalled();
  });

  // The last one: there are two primaries after it.
  test('after a failover writes go to the promoted standby, and an old primary that comes back is not taken for one', {
    timeout: 20_000,
  }, async () => {
    const { split, count, add, primary, replica } = await open();
    await add(1);
    const { lsn } = await add(2);
    await until(async () => (await replica.withClient(count)) === 2);
    await postgres.node.kill();
    expect((await outcome(add(3), 5_000)).error, 'nobody takes writes').toBeDefined();
    expect(await split.read(count), 'the standby still answers').toBe(2);
    await standby.promote();
    const settled = await until(() => add(4), { timeoutMs: 10_000, what: 'a write on the promoted standby' });
    expect(settled.lsn > lsn).toBe(true);
    // It takes writes, too, and whoever does not look at the timelines takes it for the primary.
    await postgres.node.restart();
    await until(() => primary.withClient(count), { what: 'the old primary' });
    expect(await split.read(count, { after: settled.lsn })).toBe(3);
    await outcome(split.write((tx) => tx.query('SELECT pg_terminate_backend(pg_backend_pid())')));
    await add(5);
    expect(await replica.withClient(count)).toBe(4);
  });
});
