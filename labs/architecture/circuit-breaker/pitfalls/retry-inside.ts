// Flaw: the circuit is put around the retry, so three failed requests count as one, and it opens three times as late.
// Seen in: https://github.com/jaseci-labs/jac/issues/7909
// Caught by: a circuit inside a retry sees every attempt
import { type Policy, compose as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function compose(...policies: readonly Policy[]): Policy {
  return reference(...policies.toReversed());
}
