import { setTimeout as delay } from 'node:timers/promises';
import { DatabaseError } from 'pg';
import * as errors from './errors.ts';
import type { Lease } from './lease.ts';
import { faultOf } from './options.ts';
import type { AcquireOptions, ConnectionPool } from './pool.ts';
import { transact } from './transaction.ts';

/** A position in Postgres' write-ahead log, as `0/16B3748`. */
export type Lsn = string;

/** Beyond every position: only the primary has it. */
const UNKNOWN: Lsn = 'FFFFFFFF/FFFFFFFF';
/** Milliseconds for which a replica that was down is left alone. */
const LEFT_ALONE = 1_000;

/** Writes go to the primary, reads to the replicas that know enough. The pools stay the caller's to close. */
export class SplitPool {
  readonly #pools: readonly ConnectionPool[];
  readonly #downUntil = new Map<ConnectionPool, number>();
  protected primary: ConnectionPool;
  protected readonly waitMs: number;
  protected readonly answerMs: number;
  #turn = 0;

  /**
   * @param o.waitMs how long a read waits for a replica to have `after`, before it goes to the primary. Default 50
   * @param o.answerMs within this a server says where it is, or counts as down. Default 1000
   * @throws InvalidArgumentError
   */
  constructor(
    pools: { readonly primary: ConnectionPool; readonly replicas: readonly ConnectionPool[] },
    { waitMs = 50, answerMs = 1_000 }: { readonly waitMs?: number; readonly answerMs?: number } = {},
  ) {
    const fault = faultOf('waitMs', waitMs) ?? faultOf('answerMs', answerMs, 1);
    if (fault) throw fault;
    this.primary = pools.primary;
    this.#pools = [pools.primary, ...pools.replicas];
    this.waitMs = waitMs;
    this.answerMs = answerMs;
  }

  /**
   * Runs `body` in a transaction on the primary; where that is another by now, and nothing was written, again there.
   * @returns its result, and `lsn`: what the writer shows at his next `read`
   */
  async write<T>(body: (tx: Lease) => Promise<T>, o?: AcquireOptions): Promise<{ value: T; lsn: Lsn }> {
    const asked = this.primary;
    try {
      return await this.writeOn(asked, body, o);
    } catch (error) {
      const untouched = this.isDown(asked, error) || isReadOnly(error);
      if (!untouched && !(error instanceof errors.ConnectionLostError)) throw error;
      await this.findPrimary();
      // What `body` did outside of its lost transaction, only the caller knows.
      if (this.primary === asked || !untouched) throw error;
      return this.writeOn(this.primary, body, o);
    }
  }

  /**
   * Runs `body` in a read-only transaction, on a replica that has what was written up to `after`, else on the primary;
   * where the replica is lost meanwhile, again.
   * @throws WriteInReadError, InvalidArgumentError, and as `acquire`
   */
  async read<T>(body: (tx: Lease) => Promise<T>, o: AcquireOptions & { readonly after?: Lsn } = {}): Promise<T> {
    const { after, timeoutMs = this.answerMs } = o;
    if (after !== undefined && !/^[0-9a-f]{1,8}\/[0-9a-f]{1,8}$/i.test(after)) {
      throw new errors.InvalidArgumentError(`after is ${JSON.stringify(after)}: give the lsn that write has returned`);
    }
    for (const replica of this.candidates()) {
      let begun = false;
      const ask = async (client: Lease) => {
        begun = await this.knows(client, after);
        return begun && { value: await readOnly(client, body) };
      };
      try {
        const found = await replica.withClient(ask, { ...o, timeoutMs });
        if (found) return found.value;
      } catch (error) {
        // `body` may use other servers, and their errors say nothing of this one.
        const isDown = !begun && this.isDown(replica, error);
        if (!isDown && !(error instanceof errors.ConnectionLostError)) throw error;
        this.#downUntil.set(replica, performance.now() + LEFT_ALONE);
      }
    }
    return this.primary.withClient((client) => readOnly(client, body), o);
  }

  /** The replicas, the least busy first, else in turn; without those that were down a moment ago. */
  protected candidates(): ConnectionPool[] {
    const isUp = (pool: ConnectionPool) => (this.#downUntil.get(pool) ?? 0) <= performance.now();
    const up = this.#pools.filter((pool) => pool !== this.primary && isUp(pool));
    const first = this.#turn++ % (up.length || 1);
    const busy = ({ stats }: ConnectionPool) => stats.lent + stats.waiting;
    return [...up.slice(first), ...up.slice(0, first)].sort((a, b) => busy(a) - busy(b));
  }

  /** Whether this is a replica that has replayed the log up to `after`. Waits for it a little. */
  protected async knows(client: Lease, after: Lsn | undefined): Promise<boolean> {
    const text = `SELECT pg_is_in_recovery() AS replica,
      $1::pg_lsn IS NULL OR pg_last_wal_replay_lsn() >= $1 AS there`;
    const question = { text, values: [after], query_timeout: this.answerMs };
    for (const deadline = performance.now() + this.waitMs; ; await delay(4)) {
      const { rows } = await client.query<{ replica: boolean; there: boolean }>(question);
      const [{ replica, there } = { replica: false, there: false }] = rows;
      if (!replica || there || performance.now() >= deadline) return replica && there;
    }
  }

  /** Asks every server who it is. */
  protected async findPrimary(): Promise<void> {
    // The first eight digits of a WAL file are the timeline. A promotion begins one: of two primaries the later is it.
    const text = `SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_insert_lsn()) END AS file`;
    const ask = (client: Lease) => client.query<{ file: string | null }>({ text, ...{ query_timeout: this.answerMs } });
    const found = this.#pools.map(async (pool) => {
      const answer = await pool.withClient(ask, { timeoutMs: this.answerMs }).catch(() => undefined);
      return { pool, timeline: answer?.rows[0]?.file?.slice(0, 8) ?? '' };
    });
    const [latest] = (await Promise.all(found)).sort((a, b) => (a.timeline < b.timeline ? 1 : -1));
    if (latest?.timeline) this.primary = latest.pool;
  }

  protected writeOn<T>(pool: ConnectionPool, body: (tx: Lease) => Promise<T>, o?: AcquireOptions) {
    return pool.withClient(async (client) => {
      const value = await transact(client, body);
      // It is committed, whatever becomes of this question.
      const asked = await client
        .conclude<{ lsn: Lsn }>('SELECT pg_current_wal_insert_lsn() AS lsn')
        .catch(() => undefined);
      return { value, lsn: asked?.rows[0]?.lsn ?? UNKNOWN };
    }, o);
  }

  /** It cannot be reached. A pool whose connections are all in use is busy, which is something else. */
  protected isDown({ stats }: ConnectionPool, error: unknown): boolean {
    const isComing = stats.lent < stats.size;
    return (
      error instanceof errors.ConnectError || (error instanceof errors.AcquireTimeoutError && (isComing || !stats.lent))
    );
  }
}

/** On the primary too: where it is read must not change what may be done. */
async function readOnly<T>(client: Lease, body: (tx: Lease) => Promise<T>): Promise<T> {
  return transact(client, body, 'BEGIN READ ONLY').catch((cause: unknown) => {
    if (!isReadOnly(cause)) throw cause;
    throw new errors.WriteInReadError('a read has tried to write, and is not sent elsewhere: use write', { cause });
  });
}

const isReadOnly = (error: unknown) => error instanceof DatabaseError && error.code === '25006';
