import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { tell } from '@shared/story';
import { consensus, contest, ratios, standingsTable } from '@shared/testkit';
import { Piscina } from 'piscina';
import workerpool from 'workerpool';
import { Executor, type WorkerKind } from './src/index.ts';
import type * as PhotoLab from './test/photo-lab.ts';

const file = new URL('./test/photo-lab.ts', import.meta.url);
const script = fileURLToPath(new URL('./test/workerpool-lab.ts', import.meta.url));
const maxWorkers = 2;

/** What a call says, in a few words; `waits` when it says nothing within a second and a half. */
async function said(call: () => PromiseLike<unknown>): Promise<string> {
  const answer = async () => {
    try {
      return `result: ${await call()}`;
    } catch (error) {
      const { name, code, cause } = Object(error);
      return [name, code, cause && `cause: ${cause.name}`].filter(Boolean).join(', ');
    }
  };
  return Promise.race([answer(), delay(1_500, 'waits')]);
}

await tell({ title: 'Worker pool beside piscina and workerpool', dir: import.meta.dirname }, async (story) => {
  const newLab = (kind: WorkerKind) => new Executor<typeof PhotoLab>({ file, kind, maxWorkers });
  const newPiscina = (concurrentTasksPerWorker = 1) =>
    new Piscina({ filename: file.href, minThreads: maxWorkers, maxThreads: maxWorkers, concurrentTasksPerWorker });
  const newPool = (workerType: WorkerKind) =>
    workerpool.pool(script, { maxWorkers, minWorkers: maxWorkers, workerType });

  for (const [what, task, input, workers, floor] of [
    ['A small task, sixteen callers', 'develop', 7, 16, 0.2],
    ['Two megabytes to be copied, two callers', 'size', new Uint8Array(2_000_000), 2, 0.5],
  ] as const) {
    await story.scene(what, async () => {
      const [threads, processes] = [newLab('thread'), newLab('process')];
      const [piscina, poolOfThreads, poolOfProcesses] = [newPiscina(), newPool('thread'), newPool('process')];
      const submit = (lab: typeof threads): PromiseLike<unknown> =>
        task === 'develop' ? lab.submit(task, input) : lab.submit(task, input);
      try {
        const standings = await contest(
          {
            'lab, threads': async () => submit(threads),
            piscina: () => piscina.run(input, { name: task }),
            'workerpool, threads': async () => poolOfThreads.exec(task, [input]),
            'lab, processes': async () => submit(processes),
            'workerpool, processes': async () => poolOfProcesses.exec(task, [input]),
          },
          { workers, rounds: 7, turnMs: 300 },
        );
        story.table(standingsTable(standings));
        const [lab, theirs, pool, labProcesses, poolProcesses] = standings;
        if (!lab || !theirs || !pool || !labProcesses || !poolProcesses) throw new Error('five contestants');
        for (const [mine, peer] of [
          [lab, theirs],
          [lab, pool],
          [labProcesses, poolProcesses],
        ] as const) {
          const agreed = consensus(ratios(mine, peer));
          const verdict = agreed.reaches(floor);
          if (verdict === undefined) story.say(`${mine.name} to ${peer.name}: ${agreed.text}; the rounds disagree.`);
          else story.verdict(`${mine.name}: at least ${floor} × ${peer.name}`, agreed.text, verdict);
        }
      } finally {
        await Promise.all([threads.terminate(), processes.terminate(), piscina.destroy()]);
        await Promise.all([poolOfThreads.terminate(true), poolOfProcesses.terminate(true)]);
      }
    });
  }

  await story.scene('The same accidents in each', async () => {
    const accidents = ['work after the end', 'what became of an error', 'beside a crash', 'behind a time limit'];
    const table = new Map<string, string[]>();
    const lab = newLab('thread');
    const aside = lab.submit('print', { film: 2, ms: 60 });
    await lab.submit('develop', 1);
    const crash = lab.submit('jam', 50);
    const bystander = await said(() => aside.then(() => 'its photo'));
    await said(() => crash);
    for (let turn = 0; turn < maxWorkers; turn++) await said(() => lab.submit('spin', undefined, { timeoutMs: 100 }));
    const behind = await said(() => lab.submit('develop', 4));
    const error = await said(() => lab.submit('tear', 1));
    await lab.shutdown();
    table.set('lab', [await said(async () => lab.submit('develop', 5)), error, bystander, behind]);

    const crowded = newPiscina(2);
    const others = [1, 2, 3].map((film) => crowded.run({ film, ms: 60 }, { name: 'print' }).then(() => 'its photo'));
    const jammed = crowded.run(50, { name: 'jam' });
    const fates = await Promise.all([...others.map((photo) => said(() => photo)), said(() => jammed)]);
    const lost = fates.slice(0, 3).filter((fate) => fate !== 'result: its photo').length;
    for (let turn = 0; turn < maxWorkers; turn++) {
      await said(() => crowded.run(undefined, { name: 'spin', signal: AbortSignal.timeout(100) }));
    }
    const next = await said(() => crowded.run(4, { name: 'develop' }));
    const torn = await said(() => crowded.run(1, { name: 'tear' }));
    await crowded.destroy();
    const late = await said(async () => crowded.run(5, { name: 'develop' }));
    await crowded.destroy();
    table.set('piscina, 2 tasks a worker', [late, torn, lost > 0 ? `${lost} of 3 lost` : 'result: its photo', next]);

    const pool = newPool('thread');
    const neighbour = pool.exec('develop', [2]);
    const jam = pool.exec('jam', [50]);
    const seen = await said(async () => neighbour.then(() => 'its photo'));
    await said(async () => jam);
    for (let turn = 0; turn < maxWorkers; turn++) await said(async () => pool.exec('spin', []).timeout(100));
    const after = await said(async () => pool.exec('develop', [4]));
    const spoilt = await said(async () => pool.exec('tear', [1]));
    await pool.terminate();
    const tardy = await said(async () => pool.exec('develop', [5]));
    await pool.terminate(true);
    table.set('workerpool', [tardy, spoilt, seen, after]);
    story.table({ columns: ['', ...accidents], rows: [...table].map(([name, cells]) => [name, ...cells]) });
    const [mine, theirs, third] = [...table.values()];
    story.verdict('The lab takes nothing after its end', mine?.[0] ?? '', mine?.[0] === 'ShutdownError');
    const all = 'TornError, E_TORN, cause: TypeError';
    story.verdict('An error of the lab has kept name, code and cause', mine?.[1] ?? '', mine?.[1] === all);
    story.verdict('A bystander of the lab has its photo', mine?.[2] ?? '', mine?.[2] === 'result: its photo');
    story.say(`piscina takes work after its end: ${theirs?.[0]}. workerpool: ${third?.[0]}.`);
  });
});
