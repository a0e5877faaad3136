// Flaw: the key is claimed before the work, on its own: the work fails, and the retry is taken for a duplicate.
// Seen in: https://github.com/AnthropicBots/compressor/pull/1503
// Caught by: an effect that fails leaves no note that it is done
import type { Pool, PoolClient } from 'pg';
import { type Envelope, Inbox as Reference, transaction } from '../src/index.ts';

export * from '../src/index.ts';

export class Inbox extends Reference {
  readonly #own: Pool;

  constructor(pool: Pool, table?: string) {
    super(pool, table);
    this.#own = pool;
  }

  override async once(
    consumer: string,
    event: Pick<Envelope, 'id'>,
    effect: (tx: PoolClient) => Promise<unknown>,
  ): Promise<'done' | 'duplicate'> {
    const isNew = await transaction(this.#own, (tx) => this.note(tx, consumer, event.id));
    if (!isNew) return 'duplicate';
    await transaction(this.#own, effect);
    return 'done';
  }
}
