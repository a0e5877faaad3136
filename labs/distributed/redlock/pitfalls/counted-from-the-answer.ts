// Flaw: the validity runs from the last answer, so the time spent asking is counted as ours.
// Seen in: https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html (the pause while the answers are in flight)
// Caught by: the validity is the TTL less the time spent asking and the clock drift
import { Redlock as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Redlock extends Reference {
  protected override validUntil(_start: number, ttlMs: number, driftFactor: number): number {
    return super.validUntil(this.clock.mono(), ttlMs, driftFactor);
  }
}
