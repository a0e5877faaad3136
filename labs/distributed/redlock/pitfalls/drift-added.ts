// Flaw: a sign: validity = TTL − (elapsed − drift), so the drift allowance lengthens the lease.
// Seen in: https://github.com/SPSCommerce/redlock-py/pull/3
// Caught by: the validity is the TTL less the time spent asking and the clock drift
import { Redlock as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Redlock extends Reference {
  protected override validUntil(start: number, ttlMs: number, driftFactor: number): number {
    return start + ttlMs + (ttlMs * driftFactor + 2);
  }
}
