// Flaw: the key is all that is compared: a client that uses one twice gets the answer to another request, and believes it.
// Seen in: https://github.com/KanishJebaMathewM/Truxify/issues/2382
// Caught by: a key stands for one request of one customer: another payload is a 422, a repeat in flight a 409
import type { PoolClient } from 'pg';
import { type Answer, type Claim, IdempotencyStore as Reference, type Work } from '../src/index.ts';

export * from '../src/index.ts';

export class IdempotencyStore extends Reference {
  protected override perform(tx: PoolClient, claim: Claim, work: Work): Promise<Answer> {
    return super.perform(tx, { ...claim, fingerprint: 'any' }, work);
  }
}
