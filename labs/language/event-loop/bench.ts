import { monitorEventLoopDelay } from 'node:perf_hooks';
import { tell } from '@shared/story';
import { consensus, contest, ratios, type Standing } from '@shared/testkit';
import { Piscina } from 'piscina';
import { chunked, measureDelay, nextTurn, offload, SharedCounter, watchdog } from './src/index.ts';
import type * as Till from './test/till.ts';
import { total } from './test/till.ts';

const file = new URL('./test/till.ts', import.meta.url);
const table = (standings: readonly Standing[]) => ({
  columns: ['', 'per second', 'spread'].map((label, at) => (at ? { label, align: 'right' as const } : label)),
  rows: standings.map(({ name, perSecond, spread }) => [
    name,
    perSecond.toFixed(0),
    spread.map((each) => each.toFixed(0)).join('–'),
  ]),
});

await tell({ title: 'Event loop: what the ways round cost', dir: import.meta.dirname }, async (story) => {
  /** Each contestant against the first, in words; a floor is a claim. */
  const compare = async (contestants: Parameters<typeof contest>[0], floors: readonly (number | undefined)[]) => {
    const standings = await contest(contestants, { rounds: 7, turnMs: 250 });
    story.table(table(standings));
    const [first, ...others] = standings;
    for (const [at, other] of others.entries()) {
      if (!first) throw new Error('a first contestant');
      const agreed = consensus(ratios(other, first));
      const floor = floors[at];
      const verdict = floor === undefined ? undefined : agreed.reaches(floor);
      if (verdict === undefined) story.say(`${other.name} to ${first.name}: ${agreed.text}.`);
      else story.verdict(`${other.name}: at least ${floor} × ${first.name}`, agreed.text, verdict);
    }
  };
  const items = Array.from({ length: 2_000 }, (_, at) => at);
  const work = () => total(500);

  await story.scene('A loop of 2,000 items of some microseconds, and the same in slices', () =>
    compare(
      {
        'in one go': async () => items.map(work),
        'chunked, 10 ms': () => chunked(items, work),
        'an immediate for each item': async () => {
          for (const _ of items) {
            work();
            await nextTurn();
          }
        },
      },
      [0.7],
    ),
  );

  await story.scene('A thousand updates by one thread', () => {
    const counter = new SharedCounter();
    const words = new Int32Array(counter.buffer);
    const times = (update: () => unknown) => async () => {
      for (let turn = 0; turn < 1_000; turn++) update();
    };
    return compare(
      {
        plain: times(() => {
          words[0] = (words[0] ?? 0) + 1;
        }),
        'Atomics.add': times(() => Atomics.add(words, 0, 1)),
        SharedCounter: times(() => counter.value < 2_000_000_000 && counter.add()),
      },
      [],
    );
  });

  await story.scene('A thread for each call, and a pool that keeps its threads', async () => {
    const ours = offload<typeof Till>(file);
    const pool = new Piscina({ filename: file.href, minThreads: 1, maxThreads: 1 });
    try {
      await compare({ offload: () => ours('total', 1_000), piscina: () => pool.run(1_000, { name: 'total' }) }, [5]);
    } finally {
      await pool.destroy();
    }
  });

  await story.scene('Work while somebody measures or watches', async () => {
    const job = async () => {
      for (let turn = 0; turn < 20; turn++) {
        total(20_000);
        await nextTurn();
      }
    };
    const nodes = monitorEventLoopDelay({ resolution: 10 });
    await compare(
      {
        nobody: job,
        'measureDelay, 10 ms': async () => {
          using _measure = measureDelay();
          await job();
        },
        "Node's monitor, 10 ms": async () => {
          nodes.enable();
          await job();
          nodes.disable();
        },
      },
      [0.8, 0.8],
    );
    const [bare, watched] = [await contest({ job }, { rounds: 5, turnMs: 400 }), await underWatch(job)];
    const [one, two] = [bare[0], watched[0]];
    if (one && two) story.say(`Under a watchdog of 100 ms: ${consensus(ratios(two, one)).text}.`);
  });
});

async function underWatch(job: () => Promise<void>): Promise<Standing[]> {
  using _dog = watchdog({ fd: null });
  return contest({ job }, { rounds: 5, turnMs: 400 });
}
