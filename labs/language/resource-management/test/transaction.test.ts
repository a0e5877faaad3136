import { setTimeout as delay } from 'node:timers/promises';
import { startPostgres } from '@shared/services';
import { describeWith, outcome, random, until } from '@shared/testkit';
import { Pool, type PoolClient } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import {
  acquireAll,
  CommitUnknownError,
  contextManager,
  DisposedError,
  RolledBackError,
  transaction,
  withContext,
} from '#lab';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);
const boom = new Error('the body failed');

await describeWith('transactions', { pg: () => startPostgres() }, ({ pg }) => {
  const poolOf = (max: number) => {
    const pool = new Pool({ connectionString: pg.url, max, connectionTimeoutMillis: 5_000 });
    const clients = new Set<PoolClient>();
    pool.on('connect', (client) => clients.add(client));
    pool.on('error', () => {});
    onTestFinished(() => {
      // One that was never handed back would keep `end` waiting.
      for (const client of clients) client.on('error', () => {});
      void pool.end();
    });
    return pool;
  };
  let tables = 0;
  /** Accounts a and b with 100 each, in a table of the test's own. */
  const bank = async (pool: Pool) => {
    const name = `account_${process.pid}_${++tables}`;
    await pool.query(`CREATE TABLE ${name} (id text PRIMARY KEY, cents int NOT NULL,
      other text REFERENCES ${name} DEFERRABLE INITIALLY DEFERRED)`);
    await pool.query(`INSERT INTO ${name} VALUES ('a', 100), ('b', 100)`);
    const cents = async (id: string) =>
      (await pool.query<{ cents: number }>(`SELECT cents FROM ${name} WHERE id = $1`, [id])).rows[0]?.cents;
    const change = `UPDATE ${name} SET cents = cents + $2 WHERE id = $1`;
    return { name, change, balance: async () => [await cents('a'), await cents('b')] };
  };
  /** Clients that nobody has handed back. */
  const out = (pool: Pool) => pool.totalCount - pool.idleCount;

  test('a transaction rolls back unless it was told to commit', async () => {
    const pool = poolOf(2);
    const { change, balance } = await bank(pool);
    const transfer = async (halfWay: () => void, commit: boolean) => {
      await using tx = await transaction(pool);
      await tx.query(change, ['a', -30]);
      halfWay();
      await tx.query(change, ['b', 30]);
      if (commit) await tx.commit();
    };
    const failing = () => {
      throw boom;
    };
    expect((await outcome(transfer(failing, true))).error).toBe(boom);
    expect(await balance(), 'after a throw half-way').toEqual([100, 100]);
    await transfer(() => {}, false);
    expect(await balance(), 'after a return without commit').toEqual([100, 100]);
    await transfer(() => {}, true);
    expect(await balance(), 'after commit').toEqual([70, 130]);
    expect(out(pool), 'connections that were not handed back').toBe(0);
  });

  test('a commit that Postgres turned into a rollback says so, and why', async () => {
    const pool = poolOf(1);
    const { name, change, balance } = await bank(pool);
    {
      await using tx = await transaction(pool);
      await tx.query(change, ['a', -30]);
      const duplicate = await outcome(tx.query(`INSERT INTO ${name} VALUES ('a', 1)`));
      const { error } = await outcome(tx.commit());
      expect(error).toBeInstanceOf(RolledBackError);
      expect(error).toHaveProperty('cause', duplicate.error);
      expect((await outcome(tx.commit())).error, 'the second call').toBe(error);
    }
    {
      await using tx = await transaction(pool);
      await tx.query(`UPDATE ${name} SET other = 'nobody'`);
      expect((await outcome(tx.commit())).error, 'a deferred constraint').toMatchObject({ code: '23503' });
    }
    {
      await using tx = await transaction(pool);
      await tx.query(change, ['a', -30]);
      const toPostgres = () => {
        throw boom;
      };
      outcome(tx.query(change, ['b', { toPostgres }]));
      const { error } = await outcome(tx.commit());
      expect(error, 'it failed on this side, and Postgres has never heard of it').toBeInstanceOf(RolledBackError);
      expect(error).toHaveProperty('cause', boom);
    }
    expect(await balance()).toEqual([100, 100]);
    expect(out(pool)).toBe(0);
  });

  test('a connection that is lost is the error of its transaction, and nothing worse', async () => {
    const pool = poolOf(2);
    const { change, balance } = await bank(pool);
    const killOff = async (query: (text: string) => Promise<{ rows: { pid: number }[] }>) => {
      const pid = (await query('SELECT pg_backend_pid() AS pid')).rows[0]?.pid;
      await pool.query('SELECT pg_terminate_backend($1)', [pid]);
      // The farewell arrives while no statement is under way.
      await until(async () => {
        const { rows } = await pool.query('SELECT 1 FROM pg_stat_activity WHERE pid = $1', [pid]);
        return rows.length === 0;
      });
      await delay(20);
    };
    const { error } = await outcome(
      (async () => {
        await using tx = await transaction(pool);
        await tx.query(change, ['a', -30]);
        await killOff((text) => tx.query(text));
        await tx.query(change, ['b', 30]);
      })(),
    );
    expect(error, 'the error of the statement, not of the rollback').not.toBeInstanceOf(SuppressedError);
    expect(error).toBeInstanceOf(Error);
    const unknown = await outcome(
      (async () => {
        await using tx = await transaction(pool);
        await killOff((text) => tx.query(text));
        await tx.commit();
      })(),
    );
    expect(unknown.error).toBeInstanceOf(CommitUnknownError);
    expect(await balance()).toEqual([100, 100]);
    const fresh = poolOf(1);
    let unheard: unknown;
    // Before any promise goes on, as when the farewell arrives right behind the greeting.
    const farewell = (client: PoolClient) => {
      try {
        client.emit('error', boom);
      } catch (lost) {
        unheard = lost;
      }
    };
    fresh.once('acquire', (client) => process.nextTick(farewell, client));
    await (await transaction(fresh))[Symbol.asyncDispose]();
    expect(unheard, 'an event without a listener ends the process').toBeUndefined();
    await using tx = await transaction(pool);
    expect((await tx.query('SELECT 1 AS one')).rows, 'the next one has a live connection').toEqual([{ one: 1 }]);
  });

  test('a connection is handed back after its rollback was answered, also when nothing could begin', async () => {
    const pool = poolOf(1);
    const log: string[] = [];
    let refused = '';
    const connect = async () => {
      const client = await pool.connect();
      const [query, release] = [client.query.bind(client), client.release.bind(client)];
      return Object.assign(client, {
        query: async (text: string) => {
          if (text === refused) throw boom;
          return query(text).finally(() => log.push(text));
        },
        release: (broken?: boolean) => {
          log.push(broken ? 'destroyed' : 'released');
          // The pool gives the same client again.
          Reflect.deleteProperty(client, 'query');
          release(broken);
        },
      });
    };
    // Only `connect()` is asked for, so this stands for a pool.
    const watched: Pool = Object.create(pool, { connect: { value: connect } });
    await (await transaction(watched))[Symbol.asyncDispose]();
    expect(log.splice(0)).toEqual(['BEGIN', 'ROLLBACK', 'released']);
    {
      await using tx = await transaction(watched);
      await tx.commit();
    }
    expect(log.splice(0)).toEqual(['BEGIN', 'COMMIT', 'released']);
    refused = 'ROLLBACK';
    await (await transaction(watched))[Symbol.asyncDispose]();
    expect(log, 'what cannot be rolled back').toEqual(['BEGIN', 'destroyed']);
    refused = 'BEGIN';
    expect((await outcome(transaction(watched))).error).toBe(boom);
    expect([out(pool), pool.idleCount]).toEqual([0, 1]);
    const client = await pool.connect();
    expect(client.listenerCount('error'), 'nobody listens to it any more').toBe(0);
    client.release();
  });

  test('after commit, and after the end, nothing more is sent', async () => {
    const pool = poolOf(1);
    const { change, balance } = await bank(pool);
    const tx = await transaction(pool);
    await tx.commit();
    expect((await outcome(tx.query(change, ['a', 1]))).error).toBeInstanceOf(DisposedError);
    await tx[Symbol.asyncDispose]();
    await tx[Symbol.asyncDispose]();
    expect((await outcome(tx.commit())).error, 'who asks again has the first outcome').toBeUndefined();
    const idle = await transaction(pool);
    await idle[Symbol.asyncDispose]();
    expect((await outcome(idle.commit())).error).toBeInstanceOf(DisposedError);
    expect((await outcome(idle.query(change, ['a', 1]))).error).toBeInstanceOf(DisposedError);
    {
      const gone = await transaction(pool);
      await gone[Symbol.asyncDispose]();
      await using other = await transaction(pool);
      const late = await outcome(gone.query(change, ['a', 1]));
      expect(late.error, 'somebody else has the connection').toBeInstanceOf(DisposedError);
      await other.commit();
    }
    for (const end of ['COMMIT', 'ROLLBACK']) {
      await using ended = await transaction(pool);
      await ended.query(end);
      expect((await outcome(ended.query(change, ['a', 1]))).error, `after ${end}`).toBeInstanceOf(DisposedError);
      expect((await outcome(ended.commit())).error, `after ${end}`).toBeInstanceOf(DisposedError);
    }
    expect([await balance(), out(pool)]).toEqual([[100, 100], 0]);
  });

  test('what nobody waits for is still sent in order, before the end', async () => {
    const warnings: string[] = [];
    const warned = (warning: Error) => warnings.push(warning.message);
    process.on('warning', warned);
    onTestFinished(() => void process.off('warning', warned));
    const pool = poolOf(1);
    const { change, balance } = await bank(pool);
    {
      await using tx = await transaction(pool);
      const values = ['a', -30];
      outcome(tx.query(change, values));
      // What is sent is what was given.
      values.splice(0, 2, 'b', 30);
      outcome(tx.query(change, values));
      values.length = 0;
      outcome(tx.commit());
    }
    expect([await balance(), out(pool)]).toEqual([[70, 130], 0]);
    expect(warnings).toEqual([]);
  });

  test('a thousand requests that fail at random hand back every connection', async () => {
    const { next, pick } = random(SEED);
    const pool = poolOf(5);
    const { name, change } = await bank(pool);
    const inTransaction = contextManager(async function* () {
      await using tx = await transaction(pool);
      yield tx;
      await tx.commit();
    });
    const borrow = contextManager(async function* (): AsyncGenerator<PoolClient, void, void> {
      const client = await pool.connect();
      try {
        yield client;
      } finally {
        client.release();
      }
    });
    const maybe = () => {
      if (next() < 0.3) throw boom;
    };
    let committed = 0;
    const kinds = [
      async () => {
        await using held = await borrow().enter();
        maybe();
        await held.value.query('SELECT 1');
        maybe();
      },
      () => withContext(borrow(), maybe),
      async () => {
        await withContext(inTransaction(), async (tx) => {
          await tx.query(change, ['a', -1]);
          maybe();
          await tx.query(change, ['b', 1]);
        });
        committed += 1;
      },
      async () => {
        await using held = await inTransaction().enter();
        await held.value.query(change, ['a', -1]);
      },
    ];
    let requests = 1_000;
    const customer = async () => {
      while (requests-- > 0) await pick(kinds)().catch((error: unknown) => expect(error).toBe(boom));
    };
    await Promise.all(Array.from({ length: 8 }, customer));
    expect([out(pool), pool.waitingCount], `seed ${SEED}`).toEqual([0, 0]);
    const { rows } = await pool.query(`SELECT array_agg(cents ORDER BY id) AS cents FROM ${name}`);
    expect(rows, `${committed} transfers were committed`).toEqual([{ cents: [100 - committed, 100 + committed] }]);
    const both = await withContext(acquireAll(borrow(), borrow()), async ([a, b]) => {
      const pids = await Promise.all([a, b].map((client) => client.query('SELECT pg_backend_pid()')));
      return new Set(pids.map(({ rows }) => JSON.stringify(rows))).size;
    });
    expect(both).toBe(2);
  });
});
