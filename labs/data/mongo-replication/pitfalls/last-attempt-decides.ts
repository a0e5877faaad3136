// Flaw: the last attempt was refused, so nothing was written? The first one had no answer, and was.
// Seen in: https://jira.mongodb.org/browse/SERVER-69295
// Caught by: who gives up in time says what is known of all attempts together
import { type Attempt, mayChange, type OnceOptions, WriteFailedError, writeOutcome } from '../src/index.ts';

export * from '../src/index.ts';

export async function repeatUntilKnown<T>(
  write: (attempt: Attempt) => Promise<T>,
  { withinMs = 30_000 }: OnceOptions = {},
): Promise<T> {
  const end = performance.now() + withinMs;
  for (let attempt = 1; ; attempt++) {
    try {
      return await write({ timeoutMS: Math.max(end - performance.now(), 100) });
    } catch (error) {
      if (mayChange(error) && performance.now() < end) continue;
      throw new WriteFailedError(writeOutcome(error), attempt, error);
    }
  }
}
