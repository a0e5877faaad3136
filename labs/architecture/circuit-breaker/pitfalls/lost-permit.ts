// Flaw: a probe that ends in an answer or an abort keeps its permit, and the circuit is half-open for ever.
// Seen in: https://github.com/resilience4j/resilience4j/issues/544 and https://github.com/nodeshift/opossum/issues/388
// Caught by: a probe that proves nothing gives its permit back
import type { Outcome, Pass } from '../src/breaker.ts';
import { CircuitBreaker as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class CircuitBreaker extends Reference {
  protected override settle(pass: Pass, outcome: Outcome, start: number, error: unknown): void {
    if (outcome !== 'ignored') super.settle(pass, outcome, start, error);
  }
}
