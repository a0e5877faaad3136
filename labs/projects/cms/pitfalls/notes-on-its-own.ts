// Flaw: writes the note over a connection of its own, outside of the text's transaction: the one may be there without the other.
// Seen in: "save, then publish to the queue" in most services; the repository that takes a connection from the pool by itself
// Caught by: a text and its note for the index are written together, or neither is
export * from '../src/index.ts';

import type { Pool } from 'pg';
import { ContentStore as Sound } from '../src/index.ts';
import type { Db } from '../src/vendor/optimistic-lock/index.ts';

export class ContentStore extends Sound {
  readonly #own: Pool;

  constructor(pool: Pool) {
    super(pool);
    this.#own = pool;
  }

  protected override async note(_tx: Db, id: string): Promise<void> {
    await this.#own.query("INSERT INTO cms_outbox (article, trace) VALUES ($1, '{}')", [id]);
  }
}
