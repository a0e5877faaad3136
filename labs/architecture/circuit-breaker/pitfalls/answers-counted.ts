// Flaw: every error counts: customers with empty cards cut off a payment service that is well.
// Seen in: https://github.com/sgl-project/sglang/issues/25811
// Caught by: an error that is an answer does not count

import type { Outcome } from '../src/breaker.ts';
import { CircuitBreaker as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class CircuitBreaker extends Reference {
  protected override judge(error: unknown, signal: AbortSignal | undefined): Outcome {
    const outcome = super.judge(error, signal);
    return outcome === 'ignored' && !this.plan.isFailure(error) ? 'failure' : outcome;
  }
}
