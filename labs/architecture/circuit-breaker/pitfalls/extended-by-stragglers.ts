// Flaw: each failure that comes in while the circuit is open starts its time anew, so under load it never ends.
// Seen in: https://github.com/SynkraAI/aiox-core/issues/469
// Caught by: failures that arrive while the circuit is open do not keep it open longer
import type { Outcome, Pass } from '../src/breaker.ts';
import { CircuitBreaker as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class CircuitBreaker extends Reference {
  protected override settle(pass: Pass, outcome: Outcome, start: number, error: unknown): void {
    super.settle(pass, outcome, start, error);
    const { current } = this;
    if (outcome !== 'failure' || current.name !== 'open') return;
    this.current = { ...current, until: this.clock.mono() + this.openFor(current.times) };
  }
}
