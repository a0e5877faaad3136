import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tell } from '@shared/story';
import { attach, callTree, hottest } from './src/index.ts';
import { openShop } from './test/processes.ts';

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
const right = (label: string) => ({ label, align: 'right' as const });
const ROUNDS = 5;

await tell(
  { title: 'Profiling: what a look costs the process that is looked at', dir: import.meta.dirname },
  async (story) => {
    await story.scene('Processor time a guest, in one process, by turns', async () => {
      await using shop = await openShop();
      await using attached = await attach(shop.pid);
      /** Processor time of the target a guest, while it is looked at. */
      const cost = async (look: () => Promise<unknown>) => {
        const before = await shop.used();
        await look();
        const after = await shop.used();
        return (after.cpuUs - before.cpuUs) / (after.guests - before.guests);
      };
      const looks: Record<string, () => Promise<unknown>> = {
        'nobody looks': () => new Promise((resolve) => setTimeout(resolve, 500)),
        'record, each 10 ms': () => attached.record({ ms: 500, intervalUs: 10_000 }),
        'record, each 1 ms': () => attached.record({ ms: 500 }),
        'record, each 100 µs': () => attached.record({ ms: 500, intervalUs: 100 }),
        callCounts: () => attached.callCounts({ ms: 500 }),
        heap: () => attached.heap({ ms: 500 }),
        loop: () => attached.loop({ ms: 500 }),
      };
      const rounds: Record<string, number>[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        const costs: Record<string, number> = {};
        for (const [name, look] of Object.entries(looks)) costs[name] = await cost(look);
        const bare = costs['nobody looks'] ?? NaN;
        rounds.push(Object.fromEntries(Object.entries(costs).map(([name, us]) => [name, us / bare])));
      }
      const rows = Object.keys(looks).map((name) => {
        const ratios = rounds.map((round) => round[name] ?? NaN);
        return [
          name,
          median(ratios).toFixed(2),
          `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`,
        ];
      });
      story.table({ columns: ['', right('×, median'), right('rounds')], rows });
      story.verdict(
        'The rounds were measured',
        `${rounds.length} rounds of ${rows.length}`,
        rows.every(([, ratio]) => Number(ratio) > 0),
      );
    });

    await story.scene('Beside node --cpu-prof', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'cpu-prof-'));
      try {
        const program = `
        const menu = Array.from({ length: 100 }, (_, id) => ({ id, name: 'oolong ' + id }));
        function hotJson() { for (let i = 0; i < 60; i++) JSON.stringify(menu); }
        for (const end = Date.now() + 800; Date.now() < end; ) hotJson();`;
        const flags = [
          '--cpu-prof',
          `--cpu-prof-dir=${folder}`,
          '--no-turbo-inlining',
          '--no-maglev-inlining',
          '-e',
          program,
        ];
        await once(spawn(process.execPath, flags, { stdio: 'ignore' }), 'exit');
        const [file = ''] = await readdir(folder);
        const [hot] = hottest(callTree(JSON.parse(await readFile(join(folder, file), 'utf8'))));
        story.verdict(
          'Its file reads the same way, from start to end of a process',
          `${hot?.name} ${(100 * (hot?.self ?? 0)).toFixed(0)} %`,
          hot?.name === 'hotJson',
        );
      } finally {
        await rm(folder, { recursive: true });
      }
    });
  },
);
