import { startPostgres } from '@shared/services';
import { describeWith, until } from '@shared/testkit';
import pg from 'pg';
import { afterAll, expect, onTestFinished, test, vi } from 'vitest';
import {
  type Bus,
  ConnectionLostError,
  DeadLetters,
  delivery,
  type Envelope,
  Inbox,
  InvalidArgumentError,
  MemoryBus,
  NoDeadLetterError,
  Outbox,
  Platform,
  Relay,
  type RelayOptions,
  RolledBackError,
  transaction,
  UnroutableError,
} from '#lab';

const HOUR_MS = 3_600_000;
const placed = (key: string, cents = 1800) => delivery.create('OrderPlaced', key, { dish: '鱼香肉丝饭', cents });
/** Its place among the test's events: what a law of order looks at. */
const numbered = (key: string, count: number) => Array.from({ length: count }, (_, n) => placed(key, n));
const centsOf = ({ data }: Envelope) => (typeof data === 'object' && data && 'cents' in data ? Number(data.cents) : -1);

await describeWith('event-driven', { postgres: () => startPostgres() }, ({ postgres }) => {
  const pool = new pg.Pool({ connectionString: postgres.url, max: 20 });
  pool.on('error', () => {});
  afterAll(() => pool.end());

  const LOCK_WAITS = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
  /** How many wait for a lock in our database. */
  const lockWaits = async () => (await pool.query(`SELECT ${LOCK_WAITS}`)).rowCount ?? 0;
  let worlds = 0;
  /** Tables of the test's own. */
  const world = async () => {
    const name = `w${++worlds}`;
    const outbox = new Outbox(pool, `${name}_outbox`);
    const inbox = new Inbox(pool, `${name}_inbox`);
    const dead = new DeadLetters(pool, `${name}_dead`);
    const effectsTable = pool.query(`CREATE TABLE ${name}_effects (id text NOT NULL)`);
    await Promise.all([effectsTable, ...[outbox, inbox, dead].map((part) => part.migrate())]);
    const relayTo = (bus: Pick<Bus, 'publish'>, options: RelayOptions = {}) =>
      new Relay(pool, outbox, bus, { idleMs: 5, ...options });
    const effect = (id: string) => (tx: pg.PoolClient) => tx.query(`INSERT INTO ${name}_effects VALUES ($1)`, [id]);
    const effects = async () =>
      (await pool.query<{ id: string }>(`SELECT id FROM ${name}_effects`)).rows.map(({ id }) => id);
    const add = (...events: Envelope[]) =>
      transaction(pool, async (tx) => {
        for (const event of events) await outbox.add(tx, event);
      });
    return { outbox, inbox, dead, relayTo, effect, effects, add };
  };
  /** The first delivery of an event, at work until the gate is opened. */
  const atWork = async (inbox: Inbox, event: Envelope, effect: (tx: pg.PoolClient) => Promise<unknown>) => {
    const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const first = inbox.once('kitchen', event, async (tx) => {
      begun.resolve();
      await gate.promise;
      await effect(tx);
    });
    onTestFinished(() => gate.resolve());
    await begun.promise;
    return { first, gate };
  };

  test('a relay is not made of nonsense', () => {
    const nowhere = { publish: async () => {} };
    for (const batch of [0, 1.5]) {
      expect(() => new Relay(pool, new Outbox(pool), nowhere, { batch })).toThrow(InvalidArgumentError);
    }
    for (const options of [{ idleMs: Number.NaN }, { idleMs: -1 }, { refusedMs: Number.NaN }]) {
      expect(() => new Relay(pool, new Outbox(pool), nowhere, options)).toThrow(InvalidArgumentError);
    }
    // What stands at a limit is within it.
    const least = { batch: 1, roundMs: 1, idleMs: 0, refusedMs: 0 };
    expect(() => new Relay(pool, new Outbox(pool), nowhere, least)).not.toThrow();
  });

  test('instances that migrate at the same moment all find their tables', async () => {
    const parts = () => [new Outbox(pool, 'new_o'), new Inbox(pool, 'new_i'), new DeadLetters(pool, 'new_d')];
    const migrated = await Promise.allSettled(
      Array.from({ length: 8 }, parts).flatMap((all) => all.map((part) => part.migrate())),
    );
    expect(migrated.filter(({ status }) => status === 'rejected')).toEqual([]);
  });

  test('a migration that the database refuses is an error', async () => {
    const own = new pg.Pool({ connectionString: postgres.url, options: '-c default_transaction_read_only=on' });
    onTestFinished(() => own.end());
    const parts = { pool: own, bus: new MemoryBus(), outbox: new Outbox(own), inbox: new Inbox(own) };
    for (const part of [parts.outbox, parts.inbox, new DeadLetters(own), new Platform(parts)])
      await expect(part.migrate()).rejects.toThrow('read-only');
  });

  test('outboxes of one database have indexes of their own, however alike their names', async () => {
    for (const name of ['alike ab', 'blike ab', 'alike ac']) await new Outbox(pool, name).migrate();
    const { rows } = await pool.query(
      "SELECT tablename, count(*)::int FROM pg_indexes WHERE tablename LIKE '%like a_' GROUP BY 1 ORDER BY 1",
    );
    const four = ['alike ab', 'alike ac', 'blike ab'].map((tablename) => ({ tablename, count: 4 }));
    expect(rows, 'by position, id and key, and of what waits').toEqual(four);
  });

  test('who migrates what is there waits for nobody who uses it, and nobody for him', async () => {
    const [outbox, dead] = [new Outbox(pool, 'used_outbox'), new DeadLetters(pool, 'used_dead')];
    const migrate = () => Promise.all([outbox.migrate(), dead.migrate()]);
    await migrate();
    await transaction(pool, async (tx) => {
      await outbox.add(tx, placed('a long import'));
      await tx.query('SELECT FROM used_dead');
      let migrated = false;
      const migrating = migrate().then(() => {
        migrated = true;
      });
      onTestFinished(() => migrating);
      await until(async () => migrated || (await lockWaits()) > 0);
      expect(migrated, 'migrated beside an import and a backup').toBe(true);
    });
  });

  test('whoever hears of errors and throws ends no relay', async () => {
    const { add, relayTo } = await world();
    const warning = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    onTestFinished(() => warning.mockRestore());
    const published: Envelope[] = [];
    let tries = 0;
    const publish = async (events: readonly Envelope[]) => {
      if (++tries < 3) throw new Error('no broker');
      published.push(...events);
    };
    const onError = () => {
      throw new Error('no log');
    };
    const relay = relayTo({ publish }, { onError });
    onTestFinished(() => relay.stop().catch(() => {}));
    await add(placed('1'));
    relay.start();
    await until(() => published.length === 1, { timeoutMs: 3_000, what: 'the relay to go on' });
    expect(warning).toHaveBeenCalledWith(expect.stringContaining('no log'));
  });

  test('a relay that was stopped can be started again', async () => {
    const { add, relayTo } = await world();
    const published: Envelope[] = [];
    const relay = relayTo({ publish: async (events) => void published.push(...events) });
    relay.start();
    const stopped = relay.stop();
    relay.start();
    await stopped;
    await add(placed('1'));
    await until(() => published.length === 1, { timeoutMs: 3_000, what: 'the relay to work again' });
    await relay.stop();
    await add(placed('2'));
    expect([await relay.round(), published.length], 'carried by hand, since nobody else did').toEqual([1, 2]);
  });

  test('a relay pauses after an error and at an empty outbox, and no longer than it is told to', async () => {
    const { add, outbox } = await world();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const rounds: Promise<unknown>[] = [];
    class Watched extends Relay {
      override round(): Promise<number> {
        const round = super.round();
        rounds.push(round.catch(() => {}));
        return round;
      }
    }
    let down = true;
    const publish = async () => {
      if (down) throw new Error('broker down');
    };
    // Unless said: 50 ms.
    const relay = new Watched(pool, outbox, { publish });
    await add(placed('1'));
    relay.start();
    onTestFinished(() => relay.stop());
    const rest = async (count: number) => {
      await until(() => rounds.length === count, { what: `round ${count}` });
      await rounds.at(-1);
      // Time enough for another.
      for (let asked = 0; asked < 20; asked++) await pool.query('SELECT');
      expect(rounds.length).toBe(count);
      vi.advanceTimersByTime(50);
    };
    await rest(1);
    await rest(2);
    down = false;
    // Who has carried something looks again at once.
    await until(() => rounds.length === 4, { what: 'a look behind what was carried' });
    await rest(4);
    await rest(5);
  });

  test('a round that is not done after half a minute is given up, unless it is told otherwise', async () => {
    const { add, outbox } = await world();
    await add(placed('1'));
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const begun = Promise.withResolvers<void>();
    const publish = () => {
      begun.resolve();
      return new Promise<never>(() => {});
    };
    const round = new Relay(pool, outbox, { publish }).round().catch((error: unknown) => error);
    await begun.promise;
    vi.advanceTimersByTime(29_999);
    expect(await Promise.race([round, pool.query('SELECT').then(() => 'at work')])).toBe('at work');
    vi.advanceTimersByTime(1);
    expect(await round).toBeInstanceOf(ConnectionLostError);
  });

  test('who stops a relay waits for the round in hand', async () => {
    const { add, relayTo, outbox } = await world();
    const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const publish = async () => {
      begun.resolve();
      await gate.promise;
    };
    await add(placed('1'));
    const relay = relayTo({ publish });
    relay.start();
    onTestFinished(() => gate.resolve());
    await begun.promise;
    const stopping = relay.stop().then(() => 'stopped');
    expect(await Promise.race([stopping, pool.query('SELECT').then(() => 'at work')])).toBe('at work');
    gate.resolve();
    await stopping;
    expect(await outbox.waiting(pool, 1)).toEqual([]);
  });

  // ── outbox ────────────────────────────────────────────────────────────────────────────────────────────────────────

  test('an order that is rolled back leaves no event', async () => {
    const { outbox, relayTo } = await world();
    const published: Envelope[] = [];
    const relay = relayTo({ publish: async (events) => void published.push(...events) });
    const rollback = transaction(pool, async (tx) => {
      await outbox.add(tx, placed('ghost'));
      // Nobody may see it before the commit, whoever looks.
      await relay.round();
      throw new Error('card declined');
    });
    await expect(rollback).rejects.toThrow('card declined');
    expect([await relay.round(), published]).toEqual([0, []]);
  });

  test('a failed publication stays in the outbox, and a later round takes it along', async () => {
    const { add, relayTo } = await world();
    await add(placed('1'), placed('2'));
    let tries = 0;
    const down = relayTo({
      publish: async () => {
        tries++;
        throw new Error('broker down');
      },
    });
    await expect(down.round()).rejects.toThrow('broker down');
    expect(tries, 'all at once, then one alone').toBe(2);
    // Its connection, too, may be gone by the time that the broker has answered.
    const ours =
      "locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    const severed = relayTo({
      publish: async () => {
        await pool.query(`SELECT pg_terminate_backend(pid) FROM pg_locks WHERE ${ours}`);
        await until(async () => (await pool.query(`SELECT FROM pg_locks WHERE ${ours}`)).rowCount === 0);
      },
    });
    await expect(severed.round()).rejects.toThrow(/connection/i);
    const published: Envelope[] = [];
    const up = relayTo({ publish: async (events) => void published.push(...events) });
    expect([await up.round(), await up.round()]).toEqual([2, 0]);
    expect(published.map(({ key }) => key)).toEqual(['1', '2']);
  });

  test('what is published and can not be marked is an error of its round, and is published again', async () => {
    const { add, relayTo, outbox } = await world();
    await add(placed('1'), placed('poison'));
    let mended = false;
    const published: string[] = [];
    const publish = async (events: readonly Envelope[]) => {
      if (!mended && events.some(({ key }) => key === 'poison')) throw new UnroutableError('nobody has subscribed');
      published.push(...events.map(({ key }) => key));
    };
    await pool.query(`ALTER TABLE ${outbox.name} ADD CONSTRAINT disk_full CHECK (published IS NULL)`);
    await expect(relayTo({ publish }).round(), 'one by one').rejects.toThrow('disk_full');
    mended = true;
    await expect(relayTo({ publish }).round(), 'the batch').rejects.toThrow('disk_full');
    await pool.query(`ALTER TABLE ${outbox.name} DROP CONSTRAINT disk_full`);
    expect(await relayTo({ publish }).round()).toBe(2);
    expect(published).toEqual(['1', '1', 'poison', '1', 'poison']);
  });

  test('a key whose event was refused beside a single other has its time as beside many', async () => {
    const { add, relayTo } = await world();
    await add(placed('poison'), placed('a'));
    let mended = false;
    const publish = async (events: readonly Envelope[]) => {
      if (!mended && events.some(({ key }) => key === 'poison')) throw new UnroutableError('nobody has subscribed');
    };
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const relay = relayTo({ publish });
    expect(await relay.round()).toBe(1);
    mended = true;
    vi.advanceTimersByTime(5000);
    expect(await relay.round(), 'when the key is tried again').toBe(1);
  });

  test('an event that no queue takes holds up its own key, and no other', async () => {
    const { add, relayTo } = await world();
    await add(...numbered('a', 3), ...numbered('poison', 2), ...numbered('b', 3));
    const taken: string[] = [];
    let mended = false;
    // As RabbitMQ does it: each event by itself, in order, and an error in the end.
    const publish = async (events: readonly Envelope[]) => {
      const refused = events.filter(({ key }) => key === 'poison' && !mended);
      for (const event of events) if (!refused.includes(event)) taken.push(`${event.key}${centsOf(event)}`);
      if (events.length > 1 && refused.length > 0) throw new UnroutableError('nobody has subscribed to one of them');
      if (refused.length > 0) throw new RangeError('too large');
    };
    const errors: unknown[] = [];
    // Time passes when it is told to.
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const relay = relayTo({ publish }, { onError: (error) => errors.push(error) });
    expect(await relay.round()).toBe(6);
    expect([await relay.round(), await relay.round()]).toEqual([0, 0]);
    expect(errors.map(String)).toEqual(['RangeError: too large']);
    // In the batch, and once more each by itself.
    const rest = ['a0', 'a1', 'a2', 'b0', 'b1', 'b2'];
    expect(taken).toEqual([...rest, ...rest]);
    mended = true;
    expect(await relay.round(), 'before its time').toBe(0);
    vi.advanceTimersByTime(5000);
    expect(await relay.round(), 'when the key is tried again').toBe(2);
    expect(taken.filter((name) => name.startsWith('poison'))).toEqual(['poison0', 'poison1']);
  });

  test('events that no queue takes hold up no other, though they are the oldest and fill a batch', async () => {
    const refusals = [new UnroutableError('nobody has subscribed'), new Error('message nacked: its queue is full')];
    for (const refusal of refusals) {
      const { add, relayTo } = await world();
      await add(...['p1', 'p2', 'p3', 'p4'].map((key) => placed(key)), placed('a'));
      const taken: string[] = [];
      const publish = async (events: readonly Envelope[]) => {
        for (const { key } of events) if (!key.startsWith('p')) taken.push(key);
        if (events.some(({ key }) => key.startsWith('p'))) throw refusal;
      };
      const relay = relayTo({ publish }, { batch: 3, refusedMs: 60_000 });
      for (let round = 0; round < 5 && taken.length === 0; round++) await relay.round().catch(() => {});
      expect([...new Set(taken)], refusal.message).toEqual(['a']);
    }
  });

  test('events that no queue takes hold up no other, however many they are', async () => {
    // Time passes when it is told to.
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const refusals = [new UnroutableError('nobody has subscribed'), new Error('message nacked: its queue is full')];
    for (const refusal of refusals) {
      const { add, relayTo } = await world();
      await add(...Array.from({ length: 20 }, (_, n) => placed(`p${n}`)), placed('a'));
      const taken = new Set<string>();
      let mended = false;
      const publish = async (events: readonly Envelope[]) => {
        vi.advanceTimersByTime(10);
        for (const { key } of events) if (mended || !key.startsWith('p')) taken.add(key);
        if (!mended && events.some(({ key }) => key.startsWith('p'))) throw refusal;
      };
      // The time of the first of them comes again before all have been tried.
      const relay = relayTo({ publish }, { batch: 3, refusedMs: 50 });
      for (let round = 0; round < 40 && taken.size === 0; round++) await relay.round().catch(() => {});
      expect([...taken], refusal.message).toEqual(['a']);
      mended = true;
      for (let round = 0; round < 10; round++) {
        await relay.round();
        vi.advanceTimersByTime(50);
      }
      expect(taken.size, 'taken once it is mended').toBe(21);
    }
  });

  test('events that no queue takes hold up no other when their time has come again, however many they are', async () => {
    // Time passes when it is told to.
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const refusals = [new UnroutableError('nobody has subscribed'), new Error('message nacked: its queue is full')];
    for (const [refusal, batch] of refusals.flatMap((each) => [[each, 3] as const, [each, 100] as const])) {
      const { add, relayTo } = await world();
      await add(...Array.from({ length: 20 }, (_, n) => placed(`p${n}`)));
      const taken: string[] = [];
      const publish = async (events: readonly Envelope[]) => {
        if (events.some(({ key }) => key.startsWith('p'))) throw refusal;
        taken.push(...events.map(({ key }) => key));
      };
      const relay = relayTo({ publish }, { batch, refusedMs: 5000 });
      for (let round = 0; round < 40; round++) await relay.round().catch(() => {});
      for (const key of ['a', 'b', 'c']) {
        vi.advanceTimersByTime(5000);
        await add(placed(key));
        // Some say no one by one: a round for each of two that are tried again, for who stood alone, and for the others.
        for (let round = 0; round < 4 && !taken.includes(key); round++) await relay.round().catch(() => {});
        expect(taken, refusal.message).toContain(key);
      }
    }
  });

  test('a round that asks for each event, and slowly, ends in time and keeps what was taken', async () => {
    const { add, relayTo, outbox } = await world();
    await add(...Array.from({ length: 20 }, (_, n) => placed(`${n}`)), placed('poison'));
    // Time passes when it is told to.
    vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const publish = async (events: readonly Envelope[]) => {
      vi.advanceTimersByTime(1000);
      if (events.some(({ key }) => key === 'poison')) throw new UnroutableError('nobody has subscribed');
    };
    const relay = relayTo({ publish }, { roundMs: 10_000 });
    for (let round = 0; round < 8; round++) await relay.round().catch(() => 0);
    expect((await outbox.waiting(pool, 99)).map(({ event }) => event.key)).toEqual(['poison']);
  });

  test('a batch that takes longer than a round, or than an answer, is carried in smaller ones', async () => {
    // Time passes when it is told to.
    vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    let gone = false;
    const slow = async (events: readonly Envelope[]) => void vi.advanceTimersByTime(events.length * 1000);
    const lost = async (events: readonly Envelope[]) => {
      gone ||= events.length > 8;
      if (gone) throw new ConnectionLostError('no answer: it comes back by itself');
    };
    for (const publish of [slow, lost]) {
      const { add, relayTo, outbox } = await world();
      await add(...numbered('tenant', 40));
      const relay = relayTo({ publish }, { roundMs: 10_000 });
      const failed: unknown[] = [];
      // Some find the lock still taken: Postgres notices a moment later that a connection was given up.
      while (failed.length < 9 && (await outbox.waiting(pool, 1)).length > 0) {
        gone = false;
        await relay.round().catch((error: unknown) => failed.push(error));
      }
      expect(failed.length, `rounds that were in vain: ${publish.name}`).toBeLessThan(9);
    }
  });

  test('a relay that waits while another has the lock keeps its smaller batches', async () => {
    const { add, relayTo } = await world();
    await add(...numbered('tenant', 30));
    let lost = true;
    const publish = async () => {
      if (lost) throw new ConnectionLostError('no answer: it comes back by itself');
    };
    const relay = relayTo({ publish }, { batch: 8 });
    await expect(relay.round()).rejects.toBeInstanceOf(ConnectionLostError);
    const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const hanging = async () => {
      begun.resolve();
      await gate.promise;
      throw new Error('broker down');
    };
    const other = relayTo({ publish: hanging }).round();
    onTestFinished(() => gate.resolve());
    await begun.promise;
    for (let round = 0; round < 8; round++) expect(await relay.round(), 'while the other is at work').toBe(0);
    gate.resolve();
    await expect(other).rejects.toThrow('broker down');
    lost = false;
    const carried: number[] = [];
    for (let round = 0; round < 5; round++) carried.push(await relay.round());
    expect(carried, 'one more after each that carries any').toEqual([4, 5, 6, 7, 8]);
  });

  test('an event that commits late is not skipped', async () => {
    const { outbox, add, relayTo } = await world();
    const published: string[] = [];
    const relay = relayTo({ publish: async (events) => void published.push(...events.map(({ key }) => key)) });
    await add(placed('first'));
    await relay.round();
    // It takes its position, dawdles, and commits after a later one was published.
    await transaction(pool, async (tx) => {
      await outbox.add(tx, placed('late'));
      await add(placed('quick'));
      await relay.round();
    });
    await relay.round();
    expect(published).toEqual(['first', 'quick', 'late']);
  });

  test('events of one order stand in the outbox as they were committed', async () => {
    const { outbox } = await world();
    let overtook = false;
    let second: Promise<unknown> = Promise.resolve();
    const committed = await transaction(pool, async (tx) => {
      await outbox.add(tx, placed('one', 0));
      // The first has its position and has not committed: the second overtakes it, or is made to wait.
      second = transaction(pool, (other) => outbox.add(other, placed('one', 1))).then(() => {
        overtook = true;
      });
      await until(async () => overtook || (await lockWaits()) > 0);
      // Who hears first of its commit may be the second: the order is known before.
      return overtook ? [1, 0] : [0, 1];
    });
    await second;
    expect((await outbox.trace('one')).map(centsOf)).toEqual(committed);
  });

  test('events are published as they were written, whatever the clocks said', async () => {
    const { add, relayTo } = await world();
    const at = (n: number, time: string) => ({ ...placed('1', n), time });
    // The second comes from a machine whose clock is slow.
    await add(at(0, '2026-01-01T12:00:00.300Z'), at(1, '2026-01-01T12:00:00.100Z'), at(2, '2026-01-01T12:00:00.200Z'));
    const published: number[] = [];
    await relayTo({ publish: async (events) => void published.push(...events.map(centsOf)) }).round();
    expect(published).toEqual([0, 1, 2]);
  });

  test('pruning the outbox takes what was published long ago, and nothing that still waits', async () => {
    const { add, outbox, relayTo } = await world();
    const old = (key: string) => ({ ...placed(key), time: '2020-01-01T00:00:00.000Z' });
    await add(old('1'), old('2'), old('3'));
    await relayTo({ publish: async () => {} }).round();
    await add(old('1'));
    // Old events, but published a moment ago, or not at all.
    expect([await outbox.prune(HOUR_MS), (await outbox.trace('1')).length]).toEqual([0, 2]);
    // Two rows a transaction.
    expect([await outbox.prune(0, 2), (await outbox.trace('1')).length]).toEqual([3, 1]);
    expect((await outbox.waiting(pool, 10)).length).toBe(1);
    for (const [olderThanMs, batch] of [[-1], [Number.NaN], [0, 0], [0, 1.5]] as const) {
      await expect(outbox.prune(olderThanMs, batch)).rejects.toBeInstanceOf(InvalidArgumentError);
    }
  });

  test('pruning an outbox that has partitions takes nothing that still waits', async () => {
    await pool.query(`
      CREATE TABLE parted (position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id uuid NOT NULL, key text NOT NULL,
        event jsonb NOT NULL, published timestamptz) PARTITION BY RANGE (position);
      CREATE TABLE parted_old PARTITION OF parted FOR VALUES FROM (1) TO (3);
      CREATE TABLE parted_new PARTITION OF parted FOR VALUES FROM (3) TO (1000)`);
    const outbox = new Outbox(pool, 'parted');
    await transaction(pool, (tx) => outbox.add(tx, placed('1'), placed('2')));
    await outbox.mark(pool, await outbox.waiting(pool, 10));
    // Each of them is in its partition where another is in the old one.
    await transaction(pool, (tx) => outbox.add(tx, ...Array.from({ length: 8 }, (_, n) => placed(`${n + 3}`))));
    expect([await outbox.prune(0), (await outbox.waiting(pool, 10)).length]).toEqual([2, 8]);
  });

  test('two transactions that tell of the same two orders never wait for each other', async () => {
    const { outbox } = await world();
    for (let round = 0; round < 5; round++) {
      let [begun, done] = [0, 0];
      const both = Promise.withResolvers<void>();
      const pair = Promise.allSettled(
        ['ab', 'ba'].map(async (keys) => {
          await transaction(pool, async (tx) => {
            if (++begun === 2) both.resolve();
            await both.promise;
            await outbox.add(tx, ...Array.from(keys, (key) => placed(key)));
          });
          done++;
        }),
      );
      onTestFinished(async () => {
        // Who waits for the other would do so for a second, until Postgres looks.
        await pool.query(`SELECT pg_cancel_backend(pid) ${LOCK_WAITS}`);
        await pair;
      });
      const waiting = await until(async () => (done === 2 ? 'nobody' : (await lockWaits()) === 2 && 'both'));
      expect(waiting, 'who waits for the other').toBe('nobody');
    }
  });

  test('a relay that hangs holds up no writer, and no other outbox', async () => {
    const [one, other] = [await world(), await world()];
    const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const publish = async () => {
      begun.resolve();
      await gate.promise;
    };
    await one.add(placed('1'));
    const hanging = one.relayTo({ publish }).round();
    await begun.promise;
    let written = false;
    const keys = ['1', 'relay', one.outbox.name];
    const writing = one.add(...keys.map((key) => placed(key))).then(() => {
      written = true;
    });
    // The pool can't end while a round has a connection.
    onTestFinished(async () => {
      gate.resolve();
      await Promise.all([hanging, writing]);
    });
    await until(async () => written || (await lockWaits()) > 0);
    expect(written, 'a writer that waits for no relay').toBe(true);
    await other.add(placed('1'));
    expect(await other.relayTo({ publish: async () => {} }).round()).toBe(1);
  });

  test('whatever isolation the database has by default, a relay at work refuses no order', async () => {
    const options = '-c default_transaction_isolation=serializable';
    const own = new pg.Pool({ connectionString: postgres.url, options });
    onTestFinished(() => own.end());
    const { outbox, add, effect, effects } = await world();
    const table = outbox.name.replace('outbox', 'effects');
    const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const publish = async () => {
      begun.resolve();
      await gate.promise;
    };
    await add(placed('1'));
    const round = new Relay(own, outbox, { publish }).round();
    onTestFinished(() => gate.resolve());
    await begun.promise;
    // It has read what another changes, which is no conflict yet: there is an order of the two in which all is true.
    const order = transaction(own, async (tx) => {
      await tx.query(`SELECT count(*) FROM ${table}`);
      await transaction(own, effect('by another'));
      await outbox.add(tx, placed('2'));
    });
    expect(await order.then(() => 'placed', String)).toBe('placed');
    gate.resolve();
    expect([await round, await effects()]).toEqual([1, ['by another']]);
  });

  test('a relay whose database is read-only by default marks what it has published', async () => {
    const own = new pg.Pool({ connectionString: postgres.url, options: '-c default_transaction_read_only=on' });
    onTestFinished(() => own.end());
    const { outbox, add } = await world();
    const published: string[] = [];
    const publish = async (events: readonly Envelope[]) => void published.push(...events.map(({ key }) => key));
    const relay = new Relay(own, outbox, { publish });
    await add(placed('1'));
    const rounds = [await relay.round().catch(String), await relay.round().catch(String)];
    expect([rounds, published]).toEqual([[1, 0], ['1']]);
  });

  test('a relay whose connection to Postgres dies without a word is followed by another, comes back, and can be stopped', async ({
    skip,
  }) => {
    skip(!postgres.faults, 'it cuts the network, and this server is not ours');
    const { outbox, add, relayTo } = await world();
    const net = await postgres.node.proxy();
    const far = new pg.Pool({ connectionString: net.url, application_name: 'far' });
    far.on('error', () => {});
    onTestFinished(async () => {
      net.reset();
      await far.end();
      await net[Symbol.asyncDispose]();
    });
    const published: string[] = [];
    const by = (name: string) => async (events: readonly Envelope[]) => {
      published.push(...events.map(({ key }) => `${key} by ${name}`));
    };
    const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const cut = async () => {
      begun.resolve();
      await gate.promise;
    };
    const errors: unknown[] = [];
    const options = { idleMs: 5, roundMs: 200, onError: (error: unknown) => errors.push(error) };
    const slow = { publish: (events: readonly Envelope[]) => cut().then(() => by('far')(events)) };
    const relay = new Relay(far, outbox, slow, options);
    await add(placed('1'));
    relay.start();
    onTestFinished(() => relay.stop());
    await begun.promise;
    // Packets are swallowed: nobody is told. By Postgres' own clock, it does not wait for its client for ever.
    net.partition();
    const idle = `SELECT FROM pg_stat_activity WHERE application_name = 'far' AND state LIKE 'idle in%'
      AND clock_timestamp() - state_change > interval '600 ms'`;
    const near = relayTo({ publish: by('near') });
    const carried = async () => (await near.round()) > 0 || ((await pool.query(idle)).rowCount ?? 0) > 0;
    await until(carried, { what: 'another relay to take over' });
    expect(published, 'what another relay took over').toEqual(['1 by near']);
    await until(() => errors.length > 0, { what: 'the relay to notice' });
    net.heal();
    gate.resolve();
    await add(placed('2'));
    await until(() => published.includes('2 by far'), { what: 'the relay to come back' });
    net.partition();
    await relay.stop();
  });

  test('two relays at once do not overtake each other', async () => {
    const { add, relayTo } = await world();
    const published: number[] = [];
    const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const publish = async (events: readonly Envelope[]) => void published.push(...events.map(centsOf));
    const slow = relayTo({
      publish: async (events) => {
        begun.resolve();
        await gate.promise;
        await publish(events);
      },
    });
    const quick = relayTo({ publish });
    await add(...numbered('1', 150));
    const first = slow.round();
    // The pool can't end while a round has a connection.
    onTestFinished(async () => {
      gate.resolve();
      await first;
    });
    await begun.promise;
    // The first has them in hand: the second must not.
    expect([await quick.round(), published]).toEqual([0, []]);
    gate.resolve();
    expect([await first, await quick.round(), await quick.round()]).toEqual([100, 50, 0]);
    expect(published).toEqual(Array.from({ length: 150 }, (_, n) => n));
  });

  // ── inbox ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  test('an event that comes twice has its effect once', async () => {
    const { inbox, effect, effects } = await world();
    const event = placed('1');
    const outcomes = [
      await inbox.once('kitchen', event, effect('cooked')),
      await inbox.once('kitchen', event, effect('cooked')),
      await inbox.once('finance', event, effect('booked')),
    ];
    expect([outcomes, await effects()]).toEqual([
      ['done', 'duplicate', 'done'],
      ['cooked', 'booked'],
    ]);
  });

  test('an effect that fails leaves no note that it is done', async () => {
    const { inbox, effect, effects } = await world();
    const event = placed('1');
    const gasIsOut = () => Promise.reject(new Error('gas is out'));
    // A connection that is lost in the middle is an error too, and not the end of the process.
    const sever = async (tx: pg.PoolClient) => {
      const { rows } = await tx.query('SELECT pg_backend_pid() AS pid');
      const ended = new Promise<void>((resolve) => tx.once('end', resolve));
      await pool.query('SELECT pg_terminate_backend($1)', [rows[0].pid]);
      await ended;
    };
    for (const trouble of [gasIsOut, sever]) {
      const failing = inbox.once('kitchen', event, async (tx) => {
        await effect('half')(tx);
        await trouble(tx);
      });
      await expect(failing).rejects.toThrow(/gas is out|connection/i);
      // Who swallows the error of a statement has written nothing all the same.
      const swallowed = inbox.once('kitchen', event, async (tx) => {
        await effect('half')(tx);
        await tx.query('SELECT no_such_column').catch(() => {});
      });
      await expect(swallowed).rejects.toThrow(RolledBackError);
    }
    const undone = inbox.once('kitchen', event, (tx) => tx.query('ROLLBACK'));
    await expect(undone).rejects.toThrow(RolledBackError);
    pool.once('acquire', (client) => queueMicrotask(() => client.emit('error', new Error('gone with the greeting'))));
    await Promise.allSettled([inbox.once('waiter', event, async () => {})]);
    expect(await inbox.once('kitchen', event, effect('cooked'))).toBe('done');
    expect(await effects()).toEqual(['cooked']);
  });

  test('an effect that swallows the silence of the database leaves no note that it is done, as with any error of a statement', async () => {
    const { inbox, effect, effects } = await world();
    const event = placed('1');
    const gate = await pool.connect();
    onTestFinished(() => gate.release(true));
    await gate.query('SELECT pg_advisory_lock(7)');
    const swallowed = inbox.once('kitchen', event, async (tx) => {
      // Done when the gate opens, though its caller was told that it has failed.
      const late = { text: 'SELECT pg_advisory_xact_lock(7)', query_timeout: 20 };
      await tx.query(late).catch(() => {});
      await gate.query('SELECT pg_advisory_unlock(7)');
      await effect('half')(tx);
    });
    expect([await swallowed.catch(() => 'thrown'), await effects()]).toEqual(['thrown', []]);
    expect(await inbox.once('kitchen', event, effect('cooked'))).toBe('done');
  });

  test('what comes when the transaction has ended is refused: it would be kept, though the effect failed', async () => {
    const { inbox, effect, effects } = await world();
    const event = placed('1');
    const gate = Promise.withResolvers<void>();
    let late: Promise<unknown> | undefined;
    const failed = inbox.once('kitchen', event, (tx) => {
      late = gate.promise.then(() => effect('late')(tx));
      return Promise.all([tx.query('SELECT 1 / 0'), late]);
    });
    await expect(failed).rejects.toThrow('division by zero');
    gate.resolve();
    await expect(late).rejects.toBeInstanceOf(RolledBackError);
    expect(await inbox.once('kitchen', event, effect('again'))).toBe('done');
    expect(await effects()).toEqual(['again']);
  });

  test('who asks by callback when the transaction has ended is told so there', async () => {
    const { inbox, effect, effects } = await world();
    const event = placed('1');
    const gate = Promise.withResolvers<void>();
    const told = Promise.withResolvers<unknown>();
    let answer: unknown = 'nothing was asked';
    const failed = inbox.once('kitchen', event, async (tx) => {
      gate.promise.then(() => {
        answer = tx.query('SELECT 1', told.resolve);
        // A rejection would end the run, and with it all other laws.
        Promise.resolve(answer).catch(told.resolve);
      });
      await tx.query('SELECT 1 / 0');
    });
    await expect(failed).rejects.toThrow('division by zero');
    gate.resolve();
    expect(await told.promise).toBeInstanceOf(RolledBackError);
    expect(answer).toBe(undefined);
    expect(await inbox.once('kitchen', event, effect('again'))).toBe('done');
    expect(await effects()).toEqual(['again']);
  });

  test('a transaction gives its connection back for the next one, whether it was committed or not', async () => {
    const own = new pg.Pool({ connectionString: postgres.url, max: 1 });
    onTestFinished(() => own.end());
    const pid = (tx: pg.PoolClient) =>
      tx.query<{ pid: number }>('SELECT pg_backend_pid() AS pid').then(({ rows }) => rows[0]?.pid);
    const first = await transaction(own, pid);
    await expect(transaction(own, (tx) => tx.query('SELECT 1 / 0'))).rejects.toThrow('division by zero');
    await expect(transaction(own, () => Promise.reject(new Error('sold out')))).rejects.toThrow('sold out');
    let kept: pg.PoolClient | undefined;
    await transaction(own, async (tx) => {
      kept = tx;
    });
    await expect(kept?.query('SELECT'), 'when it is committed').rejects.toBeInstanceOf(RolledBackError);
    expect(await transaction(own, pid), 'the connection').toBe(first);
  });

  test('who gets no connection hears why, and one that comes later is given back', async () => {
    const nowhere = new pg.Pool({ host: '127.0.0.1', port: 1 });
    await expect(transaction(nowhere, async () => {})).rejects.toThrow('ECONNREFUSED');
    const own = new pg.Pool({ connectionString: postgres.url, max: 1 });
    onTestFinished(() => own.end());
    const held = await own.connect();
    await expect(transaction(own, async () => {}, 20)).rejects.toBeInstanceOf(ConnectionLostError);
    held.release();
    expect(await transaction(own, async () => 'done')).toBe('done');
  });

  test('an effect that the database refuses for what others did is an error, and is not begun anew by itself', async () => {
    const { inbox, effect, effects } = await world();
    const event = placed('1');
    let tries = 0;
    const conflict = "DO $$ BEGIN RAISE EXCEPTION 'could not serialize' USING ERRCODE = '40001'; END $$";
    const refused = inbox.once('kitchen', event, async (tx) => {
      if (++tries === 1) await tx.query(conflict);
    });
    await expect(refused).rejects.toThrow('could not serialize');
    expect(await inbox.once('kitchen', event, effect('cooked'))).toBe('done');
    expect([tries, await effects()]).toEqual([1, ['cooked']]);
  });

  test('eight deliveries at the same moment have one effect', async () => {
    const { inbox, effect, effects } = await world();
    const event = placed('1');
    const { first, gate } = await atWork(inbox, event, effect('cooked'));
    // The others come while it is at work: each is through, or is made to wait.
    let through = 0;
    const others = Array.from({ length: 7 }, () =>
      inbox.once('kitchen', event, effect('cooked')).finally(() => through++),
    );
    await until(async () => through + (await lockWaits()) === 7);
    gate.resolve();
    await Promise.all([first, ...others]);
    expect(await effects()).toEqual(['cooked']);
  });

  test('whatever isolation the database has by default, who has waited for the same delivery hears that it is a duplicate', async () => {
    for (const isolation of ['repeatable read', 'serializable']) {
      const options = `-c default_transaction_isolation=${isolation.replace(' ', '\\ ')}`;
      const own = new pg.Pool({ connectionString: postgres.url, options });
      onTestFinished(() => own.end());
      const { inbox, effect, effects } = await world();
      const inboxThere = new Inbox(own, `w${worlds}_inbox`);
      const event = placed('1');
      const { first, gate } = await atWork(inbox, event, effect('cooked'));
      const second = inboxThere.once('kitchen', event, effect('cooked')).catch(String);
      await until(async () => (await lockWaits()) === 1);
      gate.resolve();
      expect([await first, await second, await effects()], isolation).toEqual(['done', 'duplicate', ['cooked']]);
    }
  });

  test('pruning the inbox forgets what is old, and nothing else', async () => {
    const { inbox, effect, effects } = await world();
    const events = numbered('1', 3);
    const deliver = async () => {
      const outcomes: string[] = [];
      for (const event of events) outcomes.push(await inbox.once('kitchen', event, effect('cooked')));
      return outcomes;
    };
    await deliver();
    expect([await inbox.prune(HOUR_MS), await deliver()]).toEqual([0, ['duplicate', 'duplicate', 'duplicate']]);
    // A row a transaction. What comes again after that is new: too short a time has its price.
    expect([await inbox.prune(0, 1), await deliver()]).toEqual([3, ['done', 'done', 'done']]);
    expect((await effects()).length).toBe(6);
    for (const [olderThanMs, batch] of [[-1], [Number.NaN], [0, 0], [0, 1.5]] as const) {
      await expect(inbox.prune(olderThanMs, batch)).rejects.toBeInstanceOf(InvalidArgumentError);
    }
  });

  // ── dead letters ──────────────────────────────────────────────────────────────────────────────────────────────────

  test('a dead letter is kept as it came, also what PostgreSQL has no text for', async () => {
    const { dead } = await world();
    const event = { ...placed('1'), data: { dish: 'a\0b \ud83d', cents: 1 } };
    await dead.add('kitchen', event, new Error('no\0such \udc00 dish'), 3);
    expect((await dead.list()).map((letter) => letter.event)).toEqual([event]);
    const replay = dead.replay('kitchen', 'no such id', { publish: async () => {} });
    await expect(replay).rejects.toBeInstanceOf(NoDeadLetterError);
  });

  test('a dead letter that dies again while it is replayed stays, as the newest', async () => {
    const { dead } = await world();
    const [event, later] = [placed('1'), placed('2')];
    await dead.add('kitchen', event, new Error('gas is out'), 3);
    await dead.add('kitchen', later, new Error('gas is out'), 3);
    // The group is quicker than the broker's confirmation.
    const publish = () => dead.add('kitchen', event, new Error('no rice'), 5);
    await dead.replay('kitchen', event.id, { publish });
    expect(await dead.list()).toMatchObject([{ event: later }, { event, reason: 'Error: no rice', attempts: 5 }]);
    await dead.replay('kitchen', event.id, { publish: async () => {} });
    expect(await dead.list()).toMatchObject([{ event: later }]);
  });

  test('a dead letter that can not be kept is an error, and one whose replay fails stays', async () => {
    const { dead } = await world();
    const event = placed('1');
    await expect(
      new DeadLetters(pool, 'not migrated').add('kitchen', event, new Error('gas is out'), 3),
    ).rejects.toThrow('does not exist');
    await dead.add('kitchen', event, new Error('gas is out'), 3);
    const down = { publish: () => Promise.reject(new Error('broker down')) };
    await expect(dead.replay('kitchen', event.id, down)).rejects.toThrow('broker down');
    expect(await dead.list()).toMatchObject([{ event, reason: 'Error: gas is out', attempts: 3 }]);
  });

  test('a dead letter says what stands behind its error', async () => {
    const { dead } = await world();
    const addresses = ['::1', '127.0.0.1'].map((address) => new Error(`connect ECONNREFUSED ${address}:443`));
    const error = new TypeError('fetch failed', { cause: new AggregateError(addresses) });
    // A chain without an end has to be told too.
    for (const each of addresses) each.cause = error;
    await dead.add('kitchen', placed('1'), error, 20);
    expect((await dead.list())[0]?.reason).toMatch(/^TypeError: fetch failed.*ECONNREFUSED ::1.*ECONNREFUSED 127/);
  });
});
