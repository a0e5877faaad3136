import { inspect } from 'node:util';
import { DatabaseError, type Pool, type PoolClient } from 'pg';
import { InvalidArgumentError, WriteRolledBackError } from './errors.ts';
import type { Lease } from './lease.ts';
import { assertName } from './options.ts';

/** PostgreSQL cuts a longer identifier: two names could be one table. */
const LONGEST_IDENTIFIER = 63;
const MOST = 2n ** 63n - 1n;

/**
 * Fencing: a number that grows with each holder, and a store that refuses a number older than one it has seen.
 *
 * No lease can stop a process that was paused in the middle of a write; the store can. The number has to come from one
 * linearizable counter: here a PostgreSQL sequence, with `CACHE 1` and never reset. (Counters on the lock nodes will
 * not do: the highest of a majority of them can fall when nodes fail.)
 * Source: Martin Kleppmann, https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html
 */
export class Fencing {
  readonly #pool: Pool;
  readonly #name: string;

  /**
   * `name` is the prefix of the sequence and of the table that it keeps: `<name>_token`, `<name>_mark`. Default "fencing".
   * @throws InvalidArgumentError on a name that PostgreSQL would cut or can't keep.
   */
  constructor(pool: Pool, name = 'fencing') {
    assertName('Fencing', name);
    if (Buffer.byteLength(`${name}_token`) > LONGEST_IDENTIFIER) {
      throw new InvalidArgumentError(
        `${name}_token has more than ${LONGEST_IDENTIFIER} bytes: PostgreSQL would cut it.`,
      );
    }
    this.#pool = pool;
    this.#name = name;
  }

  /** Creates the sequence and the table where they are missing. Part of your migrations. */
  async migrate(): Promise<void> {
    // "IF NOT EXISTS" is no lock: of two that migrate at once, one would fail.
    await this.#pool.query(`
      SELECT pg_advisory_xact_lock(hashtextextended('labs fencing', 0));
      CREATE SEQUENCE IF NOT EXISTS ${this.#identifier('token')} CACHE 1;
      CREATE TABLE IF NOT EXISTS ${this.#identifier('mark')} (resource text PRIMARY KEY, fence bigint NOT NULL)`);
  }

  /**
   * The next fencing token, for the holder of `lease`.
   *
   * The lease is looked at again after the token has arrived: a holder that stalled in between would carry the newest
   * token although another one has taken over.
   * @throws LeaseLostError when the lease has ended by then.
   */
  async take(lease: Pick<Lease, 'throwIfEnded'>): Promise<bigint> {
    const { rows } = await this.#pool.query<{ fence: string }>(`SELECT nextval($1) AS fence`, [
      this.#identifier('token'),
    ]);
    lease.throwIfEnded();
    return BigInt(rows[0]?.fence ?? 0);
  }

  /**
   * Runs `write` in a transaction, unless a write to `resource` under a newer token has been committed: then nothing
   * is written and the outcome is `stale`. Use the given client for everything that belongs to the write, and await it: when
   * `write` has ended, its `query` rejects with WriteRolledBackError.
   *
   * @throws InvalidArgumentError on a resource that PostgreSQL can't keep, or a fence that is no token of `take`.
   * @throws what `write` or `pg` throws; WriteRolledBackError when `write` swallowed the error of a statement,
   *   or ended the transaction itself. One that pg no longer waited for (`query_timeout`) is thrown, swallowed or not.
   */
  async write(resource: string, fence: bigint, write: (tx: PoolClient) => Promise<unknown>): Promise<'ok' | 'stale'> {
    assertName('A resource', resource);
    if (typeof fence !== 'bigint' || fence < 0n || fence > MOST) {
      throw new InvalidArgumentError(`A fencing token is a bigint from 0 to ${MOST}; it is ${inspect(fence)}.`);
    }
    let broken: Error | undefined;
    const lose = (error: Error) => {
      broken = error;
    };
    // The pool listens for errors only while nobody has the connection, and one that nobody hears ends the process. By
    // callback: the connection's end can come in one packet with its greeting, before a promise tells of either.
    const client = await new Promise<PoolClient>((resolve, reject) => {
      this.#pool.connect((error, lent) => (lent ? resolve(lent.on('error', lose)) : reject(error)));
    });
    try {
      if (!(await this.#begin(client, resource, fence))) {
        await client.query('ROLLBACK');
        return 'stale';
      }
      await fenced(client, lose, write);
      if (broken) throw broken;
      if (client.getTransactionStatus() === 'I') {
        throw new WriteRolledBackError(
          `The write to ${resource} ended its transaction itself: leave COMMIT and ROLLBACK to Fencing, and throw to undo it.`,
        );
      }
      // A transaction with a failed statement answers COMMIT by rolling back, and says so.
      const { command } = await client.query('COMMIT');
      if (command === 'COMMIT') return 'ok';
      throw new WriteRolledBackError(`Nothing of the write to ${resource} is kept: one of its statements had failed.`);
    } catch (error) {
      await client.query('ROLLBACK').catch(lose);
      throw error;
    } finally {
      client.off('error', lose);
      client.release(broken);
    }
  }

  /**
   * Where the database's default is not "read committed", PostgreSQL refuses whoever has waited for the row. Nothing is
   * written by then: asked again, the row itself says which token is the newest.
   */
  async #begin(tx: PoolClient, resource: string, fence: bigint): Promise<boolean> {
    for (;;) {
      await tx.query('BEGIN');
      try {
        return await this.admit(tx, resource, fence);
      } catch (error) {
        if (!(error instanceof DatabaseError && error.code === '40001')) throw error;
        await tx.query('ROLLBACK');
      }
    }
  }

  /** Notes `fence` as the newest token of `resource`; false when a newer one is there. */
  protected async admit(tx: PoolClient, resource: string, fence: bigint): Promise<boolean> {
    // The row stays locked until the commit, so an older and a newer write can't pass each other.
    const { rowCount } = await tx.query(
      `INSERT INTO ${this.#identifier('mark')} AS mark (resource, fence) VALUES ($1, $2)
       ON CONFLICT (resource) DO UPDATE SET fence = excluded.fence WHERE mark.fence <= excluded.fence`,
      [resource, fence.toString()],
    );
    return rowCount === 1;
  }

  #identifier(part: 'token' | 'mark'): string {
    return `"${`${this.#name}_${part}`.replaceAll('"', '""')}"`;
  }
}

/**
 * Lends the connection to `body`, for as long as that runs: what comes later would be kept, and no mark would guard it. And
 * `unanswered` hears of an answer that pg no longer waits for: what was asked is done later, or was never sent.
 */
async function fenced(client: PoolClient, unanswered: (error: Error) => void, body: (tx: PoolClient) => unknown) {
  let over = false;
  const query = (...asked: unknown[]): unknown => {
    if (over) return Promise.reject(new WriteRolledBackError('The write has ended, and this came too late: not sent.'));
    const answer: unknown = Reflect.apply(client.query, client, asked);
    if (answer instanceof Promise)
      answer.catch((error: unknown) => {
        if (error instanceof Error && error.message === 'Query read timeout') unanswered(error);
      });
    return answer;
  };
  try {
    await body(new Proxy(client, { get: (of, key) => (key === 'query' ? query : Reflect.get(of, key)) }));
  } finally {
    over = true;
  }
}
