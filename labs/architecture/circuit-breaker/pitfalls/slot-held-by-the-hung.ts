// Flaw: a slot is given back when the call ends, and a call that hangs never does, time limit or not.
// Seen in: https://github.com/failsafe-lib/failsafe/pull/400 (a bulkhead that reaches zero capacity and never recovers)
// Caught by: a call beyond its time limit gives its slot back, though it hangs
import { type Call, Bulkhead as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Bulkhead extends Reference {
  protected override execute<T>(call: Call<T>, signal: AbortSignal | undefined) {
    return call(signal ?? new AbortController().signal);
  }
}
