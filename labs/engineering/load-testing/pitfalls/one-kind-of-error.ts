// Flaw: all that is thrown is one kind of failure, so "nobody listens" and "too slow" look the same in the report.
// Seen in: https://github.com/alexfernandez/loadtest/issues/204
// Caught by: a timeout, a refusal, a broken connection, an error status and a wrong answer are told apart
import { steps } from '../src/generator.ts';
import { runWith } from '../src/run.ts';

export * from '../src/index.ts';

export const run = runWith({ ...steps, failureOf: () => 'network' });
