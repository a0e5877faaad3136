// Flaw: a key is looked for among those of all customers: who guesses or shares one reads another's order.
// Seen in: https://github.com/jox-sm/deepslate-rpg/issues/104
// Caught by: a key stands for one request of one customer: another payload is a 422, a repeat in flight a 409
import type { PoolClient } from 'pg';
import { type Answer, type Claim, IdempotencyStore as Reference, type Work } from '../src/index.ts';

export * from '../src/index.ts';

export class IdempotencyStore extends Reference {
  protected override perform(tx: PoolClient, claim: Claim, work: Work): Promise<Answer> {
    return super.perform(tx, { ...claim, principal: 'everybody' }, work);
  }
}
