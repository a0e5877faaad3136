import { fileURLToPath } from 'node:url';
import { tell } from '@shared/story';
import { consensus, contest, ratios } from '@shared/testkit';
import workerpool from 'workerpool';
import { hybrid } from './src/index.ts';
import type * as Kitchen from './test/kitchen.ts';

const entry = new URL('./test/kitchen.ts', import.meta.url);
const script = fileURLToPath(new URL('./test/workerpool-kitchen.ts', import.meta.url));
const columns = ['', 'per second', 'spread', 'p50 ms', 'p99 ms'].map((label, at) =>
  at === 0 ? label : { label, align: 'right' as const },
);

await tell(
  { title: 'Threads and processes by payload, beside workerpool', dir: import.meta.dirname },
  async (story) => {
    for (const [what, size, floor] of [
      ['A hundred bytes there and back', 100, 0.2],
      ['A hundred kilobytes', 100_000, 0.2],
      ['Four megabytes', 4_000_000, 0.2],
    ] as const) {
      await story.scene(what, async () => {
        const value = new Uint8Array(size);
        const threads = hybrid<typeof Kitchen>({ processes: 1, threadsPerProcess: 2, entry });
        const processes = hybrid<typeof Kitchen>({ processes: 2, threadsPerProcess: 1, entry });
        const pools = (['thread', 'process'] as const).map((workerType) =>
          // Without `serialization` its processes speak JSON, in which bytes are an object with a key for each.
          workerpool.pool(script, {
            maxWorkers: 2,
            minWorkers: 2,
            workerType,
            forkOpts: { serialization: 'advanced' },
          }),
        );
        const [poolOfThreads, poolOfProcesses] = pools;
        try {
          const standings = await contest(
            {
              'hybrid, 1 × 2': () => threads.run({ dish: 'echo', value }),
              'hybrid, 2 × 1': () => processes.run({ dish: 'echo', value }),
              'workerpool, 2 processes': async () => poolOfProcesses?.exec('echo', [value]),
              'workerpool, 2 threads': async () => poolOfThreads?.exec('echo', [value]),
            },
            { workers: 4, rounds: 5, turnMs: 300 },
          );
          story.table({
            columns,
            rows: standings.map(({ name, perSecond, spread, p50, p99 }) => [
              name,
              perSecond.toFixed(0),
              spread.map((each) => each.toFixed(0)).join('–'),
              p50.toFixed(2),
              p99.toFixed(2),
            ]),
          });
          const [, mine, peer] = standings;
          if (!mine || !peer) throw new Error('four contestants');
          const agreed = consensus(ratios(mine, peer));
          const verdict = agreed.reaches(floor);
          if (verdict === undefined) story.say(`${mine.name} to ${peer.name}: ${agreed.text}; the rounds disagree.`);
          else story.verdict(`${mine.name}: at least ${floor} × ${peer.name}`, agreed.text, verdict);
        } finally {
          await Promise.all([threads, processes].map((shop) => shop[Symbol.asyncDispose]()));
          await Promise.all(pools.map((pool) => pool.terminate(true)));
        }
      });
    }
  },
);
