/** Who starts workers for a long run, to be killed in the middle of it. Its argument is the target. */
import { runWorkers } from '#lab';

const [target = ''] = process.argv.slice(2);
const stages = [
  { seconds: 0, to: 2 },
  { seconds: 60, to: 2 },
];
await runWorkers({ target, model: 'closed', stages, workers: 2, script: new URL('./customers.ts', import.meta.url) });
