// Flaw: a refusal counts as a failure, so a circuit that is open counts its own refusals.
// Seen in: https://github.com/nodeshift/opossum/issues/45
// Caught by: a refusal by another policy does not count
import type { Outcome } from '../src/breaker.ts';
import { CircuitBreaker as Reference, RejectedError } from '../src/index.ts';

export * from '../src/index.ts';

export class CircuitBreaker extends Reference {
  protected override judge(error: unknown, signal: AbortSignal | undefined): Outcome {
    return error instanceof RejectedError && !signal?.aborted ? 'failure' : super.judge(error, signal);
  }
}
