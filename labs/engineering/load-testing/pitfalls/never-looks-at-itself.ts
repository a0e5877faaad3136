// Flaw: nobody asks how busy the generator was, and its own queue is reported as the server's latency.
// Seen in: https://github.com/locustio/locust/issues/1161
// Caught by: a generator that is itself the bottleneck refuses its verdict
import { steps } from '../src/generator.ts';
import { runWith } from '../src/run.ts';

export * from '../src/index.ts';

export const run = runWith({ ...steps, utilization: () => () => 0 });
