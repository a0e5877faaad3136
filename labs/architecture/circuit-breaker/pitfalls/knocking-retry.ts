// Flaw: the retry takes a refusal for a failure, and knocks at the open circuit again and again.
// Seen in: https://github.com/redis-rb/redis-client/pull/228
// Caught by: a retry does not knock at an open circuit
import { type Policy, RejectedError, type RetryOptions, retry as reference } from '../src/index.ts';

export * from '../src/index.ts';

/** Hides a refusal from the retry, until it gives up. */
class Disguised extends Error {}

export function retry(options: RetryOptions): Policy {
  const policy = reference(options);
  return {
    run: (call, run) =>
      policy
        .run(async (signal) => {
          try {
            return await call(signal);
          } catch (error) {
            throw error instanceof RejectedError ? new Disguised('refused', { cause: error }) : error;
          }
        }, run)
        .catch((error: unknown) => {
          throw error instanceof Disguised ? error.cause : error;
        }),
  };
}
