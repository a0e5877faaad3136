// Flaw: whether another attempt may do better is read from the error's text, so a duplicate of that text is retried and a stale version is not.
// Seen in: https://github.com/GreptimeTeam/greptimedb/pull/8333
// Caught by: conflicts alone are tried again, all of it, at most max times, and the last one is the cause
import { RetriesExhaustedError, type RetryOptions } from '../src/index.ts';

export * from '../src/index.ts';

export async function withRetry<T>(run: (attempt: number) => Promise<T>, { max = 10 }: RetryOptions = {}): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run(attempt);
    } catch (error) {
      if (!/serialize|deadlock|version/i.test(String(error))) throw error;
      if (attempt === max) throw new RetriesExhaustedError(attempt, error);
    }
  }
}
