// Flaw: the record is written on a connection of its own, as into a cache: it stays when the order is rolled back, and the retry is told of an order that never was.
// Seen in: https://github.com/ikyriak/IdempotentAPI/issues/57
// Caught by: what is remembered was done, and what failed is not remembered: order and record are committed together
import type { PoolClient } from 'pg';
import { type Answer, type Claim, IdempotencyStore as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class IdempotencyStore extends Reference {
  protected override async remember(_: PoolClient, claim: Claim, answer: Answer): Promise<void> {
    const own = await this.pool.connect();
    try {
      await super.remember(own, claim, answer);
    } finally {
      own.release();
    }
  }
}
