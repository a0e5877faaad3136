// Flaw: each hop gives the next one a time of its own, so the leaf works on for callers who left long ago.
// Seen in: https://github.com/grpc/grpc-java/issues/1205
// Caught by: what is left of the deadline shrinks on each hop
import type { Caller, Propagated, PropagateOptions } from '../src/index.ts';

export * from '../src/index.ts';

export function propagate({ signal }: Caller, { defaultMs = 10_000 }: PropagateOptions = {}): Propagated {
  return { timeoutMs: defaultMs, signal };
}
