// Flaw: no minimum of calls: the first call of the morning fails, 1 of 1, and the circuit opens.
// Seen in: https://github.com/saleor/saleor/pull/16684 (the review); opossum's volumeThreshold is 0 by default
// Caught by: a circuit opens at exactly the minimum number of calls
import { CircuitBreaker as Reference } from '../src/index.ts';
import type { Window } from '../src/window.ts';

export * from '../src/index.ts';

export class CircuitBreaker extends Reference {
  protected override trips({ calls, failures }: Window): boolean {
    return failures / calls >= this.plan.failureRate;
  }
}
