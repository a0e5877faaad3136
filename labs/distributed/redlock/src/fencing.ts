import type { Pool, PoolClient } from 'pg';
import type { Lease } from './lease.ts';

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

  /** `name` is the prefix of the sequence and of the table that it keeps: `<name>_token`, `<name>_mark`. Default "fencing". */
  constructor(pool: Pool, name = 'fencing') {
    this.#pool = pool;
    this.#name = name;
  }

  /** Creates the sequence and the table where they are missing. Part of your migrations. */
  async migrate(): Promise<void> {
    await this.#pool.query(`
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
   * is written and the outcome is `stale`. Use the given client for everything that belongs to the write.
   */
  async write(resource: string, fence: bigint, write: (tx: PoolClient) => Promise<unknown>): Promise<'ok' | 'stale'> {
    const client = await this.#pool.connect();
    let broken: Error | undefined;
    const lose = (error: Error) => {
      broken = error;
    };
    // The pool listens for errors only while nobody has the connection, and one that nobody hears ends the process.
    client.on('error', lose);
    try {
      await client.query('BEGIN');
      // The row stays locked until the commit, so an older and a newer write can't pass each other.
      const { rowCount } = await client.query(
        `INSERT INTO ${this.#identifier('mark')} AS mark (resource, fence) VALUES ($1, $2)
         ON CONFLICT (resource) DO UPDATE SET fence = excluded.fence WHERE mark.fence <= excluded.fence`,
        [resource, fence.toString()],
      );
      if (rowCount === 0) {
        await client.query('ROLLBACK');
        return 'stale';
      }
      await write(client);
      await client.query('COMMIT');
      return 'ok';
    } catch (error) {
      await client.query('ROLLBACK').catch(lose);
      throw error;
    } finally {
      client.off('error', lose);
      client.release(broken);
    }
  }

  #identifier(part: 'token' | 'mark'): string {
    return `"${`${this.#name}_${part}`.replaceAll('"', '""')}"`;
  }
}
