import { setTimeout as delay } from 'node:timers/promises';
import { DatabaseError, type Pool } from 'pg';
import { type Build, Builds } from './builds.ts';
import { StaleReadError } from './errors.ts';
import type { Tx } from './projection.ts';
import { checkedWait } from './text.ts';
import { type Begin, inTransaction } from './transaction.ts';

export interface QueryOptions {
  /** Answer only from a read model that has come this far: the `position` of a command that the asker has sent. */
  readonly atLeast?: bigint;
  /** Milliseconds to wait for it. Default 1,000. */
  readonly timeoutMs?: number;
  /** Ends the wait, when nobody is left to hear the answer. Default: only the timeout does. */
  readonly signal?: AbortSignal | undefined;
}

type Answer<T> = { readonly position: bigint } | { readonly position: bigint; readonly value: T };

/** The query side: answers from read models, and cannot write. */
export class Queries {
  protected readonly pool: Pool;
  protected readonly prefix: string;

  /** @param pool Preferably a pool of its own, so that a crowd before the screen takes no connection from the till. */
  constructor(pool: Pool, prefix = 'shop') {
    this.pool = pool;
    this.prefix = prefix;
  }

  /**
   * Asks a projection's live table.
   *
   * @throws StaleReadError when `atLeast` is not reached within `timeoutMs`. @throws the signal's reason
   * @throws InvalidArgumentError when there is no such projection, or an option is no number
   */
  async query<T>(
    projection: { readonly name: string },
    ask: (db: Tx, table: string) => Promise<T>,
    options: QueryOptions = {},
  ): Promise<T> {
    const { atLeast = 0n, timeoutMs = 1_000, signal } = options;
    checkedWait('timeoutMs', timeoutMs);
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      signal?.throwIfAborted();
      const answer = await this.answer(projection.name, ask, atLeast);
      if (answer) {
        if ('value' in answer) return answer.value;
        if (performance.now() >= deadline)
          throw new StaleReadError(projection.name, answer.position, atLeast, timeoutMs);
      }
      await delay(5);
    }
  }

  /**
   * One look: position and rows are of one snapshot, in which nothing can be written. Undefined when the table was
   * replaced by a rebuild between the two: look again.
   */
  protected async answer<T>(
    name: string,
    ask: (db: Tx, table: string) => Promise<T>,
    atLeast: bigint,
  ): Promise<Answer<T> | undefined> {
    const builds = new Builds(name, this.prefix);
    let asked: Build | undefined;
    try {
      return await inTransaction(
        this.pool,
        async (tx) => {
          asked = await builds.find(tx, 'live');
          const { position, table } = asked;
          return position < atLeast ? { position } : { position, value: await ask(tx, table) };
        },
        { begin: this.begin },
      );
    } catch (error) {
      const goneTable = error instanceof DatabaseError && error.code === '42P01';
      if (goneTable && (await builds.find(this.pool, 'live')).build !== asked?.build) return undefined;
      throw error;
    }
  }

  protected readonly begin: Begin = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY';
}
