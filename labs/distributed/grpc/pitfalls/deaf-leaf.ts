// Flaw: the time is handed on, the signal is not: who hangs up early stops the first hop alone.
// Seen in: https://github.com/grpc/grpc-node/issues/1542
// Caught by: who hangs up is heard by the last one in the chain
import { type Caller, type Propagated, type PropagateOptions, propagate as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function propagate(caller: Caller, options: PropagateOptions = {}): Propagated {
  return { ...reference(caller, options), signal: new AbortController().signal };
}
