// Flaw: a rate is refused if it is too low or too high; NaN is neither, and a circuit with it never opens.
// Seen in: https://github.com/united-manufacturing-hub/united-manufacturing-hub/pull/2465 (the review)
// Caught by: what no circuit can be made from is refused
import { type BreakerOptions, InvalidOptionError, CircuitBreaker as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class CircuitBreaker extends Reference {
  protected override check(options: BreakerOptions) {
    const { failureRate = 0.5 } = options;
    if (failureRate <= 0 || failureRate > 1) throw new InvalidOptionError('failureRate must be above 0, at most 1.');
    return { ...super.check({ ...options, failureRate: 0.5 }), failureRate };
  }
}
