// Flaw: a worker that is gone is taken off the list, and the report of the others passes for that of all.
// Seen in: https://github.com/locustio/locust/issues/951
// Caught by: a dead worker's share is named as missing, and what it had measured counts
import { steps } from '../src/generator.ts';
import { runWorkersWith } from '../src/workers.ts';

export * from '../src/index.ts';

export const runWorkers = runWorkersWith({ ...steps, lost: () => undefined });
