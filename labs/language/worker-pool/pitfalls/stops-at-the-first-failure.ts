// Flaw: asCompleted awaits what it hands out, so the first task that failed ends the loop, and the rest is never seen.
// Seen in: https://github.com/tc39/proposal-async-iteration/issues/93
// Caught by: asCompleted gives each future when it is done, those that failed too
import { type Awaitable, asCompleted as reference } from '../src/index.ts';

export * from '../src/index.ts';

export async function* asCompleted<F extends Awaitable>(futures: Iterable<F>, options?: { timeoutMs?: number }) {
  for await (const { future } of reference(futures, options)) {
    await future;
    yield { future };
  }
}
