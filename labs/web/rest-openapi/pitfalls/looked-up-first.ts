// Flaw: the key is looked up before the work and stored behind it, with nothing in between: ten retries at once find nothing.
// Seen in: https://github.com/jcagarcia/grape-idempotency/issues/10
// Caught by: an order that is sent ten times is placed once, and every answer is the first one, byte for byte
import { IdempotencyStore as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class IdempotencyStore extends Reference {
  protected override async tryLock(): Promise<boolean> {
    return true;
  }
}
