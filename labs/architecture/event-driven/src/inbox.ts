import { DatabaseError, type Pool, type PoolClient } from 'pg';
import { within } from './dispatcher.ts';
import { ConnectionLostError, RolledBackError } from './errors.ts';
import type { Envelope } from './event.ts';
import { identifier, MIGRATING } from './outbox.ts';
import { prune } from './prune.ts';

/**
 * Idempotent consumer: the note "this one is done" is written by the same transaction as the effect. A broker delivers
 * at least once; with this, a reader of the database sees each effect once.
 */
export class Inbox {
  readonly #pool: Pool;
  protected readonly table: string;

  /**
   * @param pool Give it an `idle_in_transaction_session_timeout` above the longest pause between two statements of an effect:
   *   of a consumer that died without a word, its transaction open, Postgres would keep the note for hours, and the next
   *   one would wait for it. And with its `query_timeout` a `statement_timeout` that is no longer: else Postgres goes on with
   *   each statement that you have given up, a connection each, until it has none left for anybody.
   * @param table Default "inbox".
   */
  constructor(pool: Pool, table = 'inbox') {
    this.#pool = pool;
    this.table = identifier(table);
  }

  /** Creates the table where it is missing. Part of your migrations. */
  async migrate(): Promise<void> {
    await this.#pool.query(`${MIGRATING}
      CREATE TABLE IF NOT EXISTS ${this.table} (
        consumer text, event uuid, at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (consumer, event))`);
  }

  /**
   * Runs `effect` in a transaction, unless this consumer has done so for this event before. Only what goes through `tx`
   * happens once: an e-mail, say, has to be an event of its own.
   * @throws what `effect` throws, and RolledBackError when it swallowed the error of a statement, or sent ROLLBACK itself;
   *   then nothing is written and the event may come again
   */
  async once(
    consumer: string,
    event: Pick<Envelope, 'id'>,
    effect: (tx: PoolClient) => Promise<unknown>,
  ): Promise<'done' | 'duplicate'> {
    let noted = false;
    try {
      return await transaction(this.#pool, async (tx) => {
        const fresh = await this.note(tx, consumer, event.id);
        noted = true;
        if (!fresh) return 'duplicate';
        await effect(tx);
        return 'done';
      });
    } catch (error) {
      // Where the database's default is not "read committed", it refuses who has waited for the same note: now it is there.
      if (noted || !(error instanceof DatabaseError && error.code === '40001')) throw error;
      return await this.once(consumer, event, effect);
    }
  }

  /**
   * Deletes the notes that are older than `olderThanMs`. An event that comes again after that has its effect again, so
   * give more than the longest time after which one can: the longest outage of relay and broker that you are ready for,
   * and the age of anything that you may replay. Run it now and then. @param batch rows a transaction. Default 1000.
   * @returns how many @throws InvalidArgumentError
   */
  async prune(olderThanMs: number, batch = 1000): Promise<number> {
    return prune(this.#pool, this.table, 'at', olderThanMs, batch);
  }

  /** Whether the note is new. Two transactions with the same note wait for each other: the second finds it. */
  protected async note(db: Pick<PoolClient, 'query'>, consumer: string, id: string): Promise<boolean> {
    const { rowCount } = await db.query(`INSERT INTO ${this.table} VALUES ($1, $2) ON CONFLICT DO NOTHING`, [
      consumer,
      id,
    ]);
    return rowCount === 1;
  }
}

/**
 * A standby's answers to a write, and to READ WRITE. The pool would keep the connection while it is used, for ever, though
 * the name may lead to the primary by now.
 */
const TAKES_NO_WRITES = new Set<unknown>(['25006', '0A000']);

/**
 * Runs `body` between BEGIN and COMMIT; whatever it throws, it throws after a ROLLBACK. When `body` has ended, `tx` takes no
 * statement more: its `query` rejects with RolledBackError, or tells its callback so. A connection whose server takes no
 * writes (a standby, after a failover) is given up: the next one goes where the name leads.
 * @param limitMs Milliseconds that all of it may take, and as many to get a connection. Default: no limit.
 * @param begin Default: as the database has it by default.
 * @throws ConnectionLostError after that; then the connection is given up, and what it had begun is rolled back
 * @throws RolledBackError when `body` swallowed the error of a statement, or ended the transaction itself; the error of pg,
 *   swallowed or not, where that no longer waited for an answer (`query_timeout`)
 */
export async function transaction<T>(
  pool: Pool,
  body: (tx: PoolClient) => Promise<T>,
  limitMs = Number.POSITIVE_INFINITY,
  begin: 'BEGIN' | 'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE' = 'BEGIN',
): Promise<T> {
  let broken: Error | undefined;
  const lose = (error: Error) => {
    broken = error;
  };
  let readOnly = false;
  // At the answer itself: `body` may have wrapped the error, as an ORM does, or swallowed it.
  const hear = (error: unknown) => {
    if (error instanceof DatabaseError && TAKES_NO_WRITES.has(error.code)) readOnly = true;
    // pg waits for it no longer: what was asked is done later, or was never sent.
    if (error instanceof Error && error.message === 'Query read timeout') lose(error);
  };
  // The pool listens for errors only while nobody has the connection, and one that nobody hears ends the process. By
  // callback: the connection's end can come in one packet with its greeting, before a promise tells of either.
  const connecting = new Promise<PoolClient>((resolve, reject) => {
    pool.connect((error, lent) => (lent ? resolve(lent.on('error', lose)) : reject(error)));
  });
  const giveBack = (lent: PoolClient) => lent.off('error', lose).release(broken ?? readOnly);
  const client = await within(limitMs, connecting).catch((error: unknown) => {
    connecting.then(giveBack, () => {});
    throw error;
  });
  let over = false;
  const work = async () => {
    try {
      const tx = lend(client, hear, () => over);
      await tx.query(begin);
      const result = await body(tx);
      over = true;
      if (broken) throw broken;
      if (client.getTransactionStatus() === 'I') {
        throw new RolledBackError(
          'The transaction had ended before its COMMIT: throw to undo it, and send no ROLLBACK.',
        );
      }
      const { command } = await client.query('COMMIT');
      if (command !== 'COMMIT')
        throw new RolledBackError('Nothing is kept: a statement had failed. Let its error pass.');
      return result;
    } catch (error) {
      over = true;
      // Of a query object (COPY, say) the answer comes by its own events.
      hear(error);
      await client.query('ROLLBACK').catch(lose);
      throw error;
    }
  };
  try {
    return await within(limitMs, work(), () => {
      broken = new ConnectionLostError(`a transaction was not done after ${limitMs} ms`);
      return broken;
    });
  } finally {
    giveBack(client);
  }
}

/**
 * The connection, until it is `over`: what comes later would be kept by itself, or with another's transaction.
 * @param hear Told of each statement's error, by promise or by callback
 */
function lend(client: PoolClient, hear: (error: unknown) => void, over: () => boolean): PoolClient {
  const query = (...asked: unknown[]): unknown => {
    if (over()) {
      const ended = new RolledBackError(
        'The transaction has ended, and this statement was not sent: await all that it does.',
      );
      const callback = asked.find((each) => typeof each === 'function');
      if (callback === undefined) return Promise.reject(ended);
      // Who has given one looks at no promise: its rejection would end the process.
      process.nextTick(callback, ended);
      return;
    }
    const heard = asked.map((each) => {
      if (typeof each !== 'function') return each;
      return (...answer: unknown[]) => {
        hear(answer[0]);
        Reflect.apply(each, undefined, answer);
      };
    });
    const answer: unknown = Reflect.apply(client.query, client, heard);
    if (answer instanceof Promise) answer.catch(hear);
    return answer;
  };
  return new Proxy(client, { get: (of, key) => (key === 'query' ? query : Reflect.get(of, key)) });
}
