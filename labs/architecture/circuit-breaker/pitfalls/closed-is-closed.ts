// Flaw: a result is compared with the state by name, so failures from before a recovery open the circuit again.
// Seen in: https://github.com/gofiber/contrib/pull/2350
// Caught by: failures from before a recovery do not open the circuit again
import type { Outcome, Pass } from '../src/breaker.ts';
import { CircuitBreaker as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class CircuitBreaker extends Reference {
  protected override settle(pass: Pass, outcome: Outcome, start: number, error: unknown): void {
    const { current } = this;
    super.settle(current.name === 'closed' && pass.name === 'closed' ? current : pass, outcome, start, error);
  }
}
