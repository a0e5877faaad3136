// Flaw: a timer alone ends the open state: a process that is frozen, or a breaker made for each request, never sees it.
// Seen in: https://github.com/nodeshift/opossum/issues/719
// Caught by: an open circuit refuses at once, and needs no timer to let a probe through
import { CircuitBreaker as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class CircuitBreaker extends Reference {
  protected override open(times: number, cause: unknown): void {
    super.open(times, cause);
    this.current = { name: 'open', until: Number.POSITIVE_INFINITY, times };
    this.clock.after(
      this.plan.openMs(times),
      () => this.enter({ name: 'half-open', times, started: 0, done: 0, failed: 0 }),
      'background',
    );
  }
}
