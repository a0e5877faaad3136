// Flaw: the last attempt is the verdict, as in "passed, after retries": whatever fails less often than always is green.
// Seen in: https://github.com/TypedDevs/bashunit/pull/1040
// Caught by: a test that passed on a retry is flaky, and never passed
import type { Verdict } from '../src/flakes.ts';

export * from '../src/index.ts';

export const verdictOf = (attempts: readonly string[], expected = 'passed'): Verdict =>
  attempts.at(-1) === expected ? 'passed' : 'failed';
