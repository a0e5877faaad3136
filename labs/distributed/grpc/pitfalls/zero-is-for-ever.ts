// Flaw: when the time is over 0 is handed on, and 0 means "no deadline": the most urgent call waits for ever.
// Seen in: https://github.com/grpc/grpc-node/issues/1636
// Caught by: when no time is left nobody is asked
import type { Caller, Propagated, PropagateOptions } from '../src/index.ts';

export * from '../src/index.ts';

export function propagate(caller: Caller, { marginMs = 5, defaultMs = 10_000 }: PropagateOptions = {}): Propagated {
  const left = caller.timeoutMs();
  const timeoutMs = left === undefined ? defaultMs : Math.max(0, Math.floor(left - marginMs));
  return { timeoutMs, signal: caller.signal };
}
