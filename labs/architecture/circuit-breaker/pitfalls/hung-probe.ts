// Flaw: a probe has no time limit of its own: one that hangs keeps the circuit half-open, and everybody out.
// Seen in: https://github.com/resilience4j/resilience4j/issues/903 and https://github.com/pathosDev/actor-ts/issues/457
// Caught by: a probe that hangs runs out of time, and the circuit opens again
import { type BreakerOptions, CircuitBreaker as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class CircuitBreaker extends Reference {
  protected override check(options: BreakerOptions) {
    return { ...super.check(options), probeTimeoutMs: Number.POSITIVE_INFINITY };
  }
}
