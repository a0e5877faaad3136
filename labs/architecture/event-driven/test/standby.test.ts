import { startPostgres } from '@shared/services';
import { describeWith, detour, until } from '@shared/testkit';
import pg from 'pg';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { delivery, type Envelope, Inbox, Outbox, Relay, transaction } from '#lab';

await describeWith('a failover', { postgres: () => startPostgres({ standby: 1 }) }, ({ postgres }) => {
  const pool = new pg.Pool({ connectionString: postgres.url });
  pool.on('error', () => {});
  afterAll(() => pool.end());

  /** A name that leads to the standby, as that of a new primary does until the last one who remembers has forgotten. */
  const stale = async () => {
    const servers = { primary: postgres.node, standby: postgres.standbys[0] };
    let to: Readonly<{ host: string; port: number }> = servers.standby;
    const name = await detour(() => to);
    const far = new pg.Pool({ connectionString: name.url(postgres.url), max: 1 });
    far.on('error', () => {});
    onTestFinished(async () => {
      await far.end();
      await name[Symbol.asyncDispose]();
    });
    const lead = (where: keyof typeof servers) => {
      to = servers[where];
    };
    return { far, lead };
  };

  test('a relay and a group that have come to a standby go where the name leads', async () => {
    const outbox = new Outbox(pool, 'f_outbox');
    const inbox = new Inbox(pool, 'f_inbox');
    await Promise.all([outbox.migrate(), inbox.migrate()]);
    const event = delivery.create('OrderPlaced', '1', { dish: '鱼香肉丝饭', cents: 1800 });
    await transaction(pool, (tx) => outbox.add(tx, event));
    const there = new pg.Pool({ connectionString: postgres.standbys[0].url, max: 1 });
    onTestFinished(() => there.end());
    const arrived = () =>
      there.query('SELECT FROM f_outbox, f_inbox').then(
        () => true,
        () => false,
      );
    await until(arrived, { what: 'the tables on the standby' });

    const published: string[] = [];
    const publish = async (events: readonly Envelope[]) => void published.push(...events.map(({ key }) => key));
    const [ofRelay, ofGroup] = [await stale(), await stale()];
    const relay = new Relay(ofRelay.far, new Outbox(ofRelay.far, 'f_outbox'), { publish });
    const group = new Inbox(ofGroup.far, 'f_inbox');
    const cook = () => group.once('kitchen', event, async () => {});
    await expect(relay.round()).rejects.toThrow('during recovery');
    await expect(cook()).rejects.toThrow('read-only');
    for (const { lead } of [ofRelay, ofGroup]) lead('primary');
    expect([await relay.round().catch(String), published]).toEqual([1, ['1']]);
    expect(await cook().catch(String)).toBe('done');
  });

  test('who has come to a standby goes where the name leads, also when its error is wrapped or swallowed', async () => {
    await pool.query('CREATE TABLE IF NOT EXISTS f_orders (id text)');
    const { far, lead } = await stale();
    const there = () => far.query('SELECT FROM f_orders').then(Boolean, () => false);
    await until(there, { what: 'the table on the standby' });
    const wrap = (cause: unknown) => {
      throw new Error('not placed', { cause });
    };
    const place = (on: (refusal: unknown) => void) =>
      transaction(far, (tx) => tx.query("INSERT INTO f_orders VALUES ('1')").then(() => {}, on));
    for (const [on, why] of [[wrap, 'not placed'] as const, [() => {}, 'a statement had failed'] as const]) {
      lead('standby');
      await far.connect().then((lent) => lent.release(true));
      await expect(place(on)).rejects.toThrow(why);
      lead('primary');
      expect(await place(on).catch(String), why).toBe(undefined);
    }
  });

  test('who has come to a standby goes where the name leads, also when it asks by callback, or by a query object', async () => {
    await pool.query('CREATE TABLE IF NOT EXISTS f_called (id text)');
    const { far, lead } = await stale();
    const there = () => far.query('SELECT FROM f_called').then(Boolean, () => false);
    await until(there, { what: 'the table on the standby' });
    const sql = "INSERT INTO f_called VALUES ('1')";
    // As Knex asks, with an error of its own.
    const byCallback = (tx: pg.PoolClient) =>
      new Promise<void>((resolve, reject) => {
        tx.query(sql, (cause: Error | undefined) => (cause ? reject(new Error('read-only', { cause })) : resolve()));
      });
    const byObject = (tx: pg.PoolClient) =>
      new Promise<void>((resolve, reject) => {
        tx.query(new pg.Query(sql))
          .on('error', reject)
          .on('end', () => resolve());
      });
    for (const place of [byCallback, byObject]) {
      lead('standby');
      await far.connect().then((lent) => lent.release(true));
      await expect(transaction(far, place)).rejects.toThrow('read-only');
      lead('primary');
      expect(await transaction(far, place).catch(String), place.name).toBe(undefined);
    }
  });
});
