import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { tell } from '@shared/story';
import { patient, until } from '@shared/testkit';
import { Executor as Bystanders } from './pitfalls/bystanders-rejected.ts';
import { Executor as Naive } from './pitfalls/hang-on-crash.ts';
import { Executor as Everything } from './pitfalls/map-submits-everything.ts';
import { Executor as SlotLost } from './pitfalls/slot-lost-after-timeout.ts';
import { asCompleted, Executor, type ExecutorOptions, WorkerCrashedError, type WorkerKind, wait } from './src/index.ts';
import type * as PhotoLab from './test/photo-lab.ts';
import { enlarge } from './test/photo-lab.ts';

const ms = (value: number) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
const clock = () => performance.timeOrigin + performance.now();

type Lab = Executor<typeof PhotoLab>;
const file = new URL('./test/photo-lab.ts', import.meta.url);
const shop = { file, kind: 'thread', maxWorkers: 2 } satisfies ExecutorOptions<typeof PhotoLab>;
const kinds: readonly WorkerKind[] = ['thread', 'process'];

const options = {
  title: 'Worker pool 线程池与进程池',
  subtitle: 'The photo lab: two machines, a hundred films, and a ticket for each',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  /** Ended whatever becomes of the scene. */
  const using = async (lab: Lab, body: (lab: Lab) => Promise<void>) => {
    try {
      await body(lab);
    } finally {
      await lab.terminate();
    }
  };

  await story.scene('One film jams the machine', async () => {
    story.say(
      'A hundred films of 5 ms, two machines, and the tenth takes its machine with it. For each film the customer has a ticket: a ' +
        'future. When both machines stand still and nothing waits, who has had an answer?',
    );
    const rows: [string, number, number, number][] = [];
    const hundred = (name: string, lab: Lab) =>
      using(lab, async () => {
        const futures = Array.from({ length: 100 }, (_, film) =>
          film === 10 ? lab.submit('jam', 50) : lab.submit('print', { film, ms: 5 }),
        );
        await until(() => lab.stats.running + lab.stats.waiting === 0, {
          timeoutMs: 10_000,
          what: 'the lab to be idle',
        });
        const count = (state: string) => futures.filter((future) => future.state === state).length;
        rows.push([name, count('succeeded'), count('failed'), 100 - count('succeeded') - count('failed')]);
      });
    await hundred('nobody listens for the end of a worker', new Naive<typeof PhotoLab>(shop));
    await hundred('one crash breaks the pool', new Bystanders<typeof PhotoLab>(shop));
    for (const kind of kinds)
      await hundred(`this lab, ${kind === 'thread' ? 'threads' : 'processes'}`, new Executor({ ...shop, kind }));
    story.table({ caption: 'A hundred tickets', columns: ['the pool', 'photo', 'error', 'waits for ever'], rows });
    const [naive, broken, ...ours] = rows;
    story.verdict(
      'A naive pool lets a customer wait with nobody left to serve him',
      `${naive?.[3]} of 100, both machines idle`,
      naive?.[3] === 1,
    );
    story.verdict('A pool that breaks fails the bystanders too', `${broken?.[2]} of 100`, (broken?.[2] ?? 0) > 1);
    story.code('src/executor.ts', { from: 'this.places.delete(place)', to: 'if (job) this.lost' });
    const right = ours.every(([, photos, errors]) => photos === 99 && errors === 1);
    story.verdict(
      'One task fails with its worker, 99 are finished',
      ours.map((row) => row.slice(1, 3).join(' + ')).join(', '),
      right,
    );
  });

  await story.scene('In which order the photos come', async () => {
    const films = [240, 40, 50, 30, 60, 40].map((ms, at) => ({ film: at + 1, ms: patient(ms) }));
    story.say(
      `Film 1 takes ${patient(240)} ms, the others ${patient(30)} to ${patient(60)}. ` +
        '`map` keeps the order, `asCompleted` hands out what is ready.',
    );
    type Photo = Awaited<ReturnType<typeof PhotoLab.print>>;
    const run = async (handOut: (lab: Lab) => AsyncIterable<Photo>) => {
      const handed: { film: number; at: number }[] = [];
      const photos: Photo[] = [];
      let start = 0;
      await using(new Executor({ ...shop, minWorkers: 2 }), async (lab) => {
        await wait([lab.submit('burn', 20), lab.submit('burn', 20)]);
        start = clock();
        for await (const photo of handOut(lab)) {
          handed.push({ film: photo.film, at: clock() - start });
          photos.push(photo);
        }
      });
      const lanes = [...new Set(photos.map(({ machine }) => machine))].map((machine, at) => ({
        label: `machine ${at + 1}`,
        spans: photos
          .filter((photo) => photo.machine === machine)
          .map(({ film, from, to }) => ({
            from: from - start,
            to: to - start,
            label: `${film}`,
          })),
      }));
      return { handed, lanes, order: handed.map(({ film }) => film).join(' '), first: handed[0]?.at ?? Number.NaN };
    };
    const mapped = await run((lab) => lab.map('print', films, { buffersize: 6 }));
    const completed = await run(async function* (lab) {
      for await (const { future } of asCompleted(films.map((film) => lab.submit('print', film)))) yield await future;
    });
    /** What is handed over at once is one mark. */
    const marks = (handed: typeof mapped.handed) =>
      Object.values(Object.groupBy(handed, ({ at }) => Math.round(at / 8))).flatMap((group = []) =>
        group
          .slice(0, 1)
          .map(({ at }) => ({ at, label: group.map(({ film }) => film).join(' '), tone: 'good' as const })),
      );
    story.timeline({
      title: 'Two machines, and what is handed over the counter when',
      unit: 'ms',
      picture: true,
      lanes: [
        ...mapped.lanes,
        { label: 'map', marks: marks(mapped.handed) },
        ...completed.lanes,
        { label: 'asCompleted', marks: marks(completed.handed) },
      ],
    });
    const sorted = films.map(({ film }) => film).join(' ');
    story.verdict(
      'map gives them in order, and everybody waits for film 1',
      `${mapped.order}; the first after ${ms(mapped.first)}`,
      mapped.order === sorted && mapped.first >= patient(230),
    );
    story.verdict(
      'asCompleted does not wait',
      `${completed.order}; the first after ${ms(completed.first)}`,
      completed.first < mapped.first && completed.order !== sorted,
    );
  });

  await story.scene('More films than the counter holds', async () => {
    story.say('A film comes off a list of 5,000 when `map` draws it. The customer takes 20 photos and leaves.');
    const draw = async (lab: Lab) => {
      let drawn = 0;
      let taken = 0;
      let ahead = 0;
      function* films() {
        for (; drawn < 5_000; ) yield drawn++;
      }
      await using(lab, async () => {
        for await (const _ of lab.map('develop', films(), { buffersize: 4 })) {
          ahead = Math.max(ahead, drawn - ++taken);
          if (taken === 20) break;
        }
      });
      return { drawn, ahead };
    };
    const all = await draw(new Everything<typeof PhotoLab>(shop));
    const four = await draw(new Executor(shop));
    story.verdict(
      'Submit everything at once: the whole list lies in memory',
      `${all.drawn} drawn for 20 photos`,
      all.drawn === 5_000,
    );
    story.verdict(
      'With a buffer of 4 the list waits for the customer',
      `${four.drawn} drawn, at most ${four.ahead} ahead`,
      four.ahead <= 4,
    );
  });

  await story.scene('A film that never ends', async () => {
    story.say('Two films get 100 ms each and never end; a third one waits behind them.');
    const behind = async (lab: Lab, patienceMs: number) => {
      let after = Number.POSITIVE_INFINITY;
      await using(lab, async () => {
        await wait([lab.submit('burn', 20), lab.submit('burn', 20)]);
        const endless = [1, 2].map(() => lab.submit('spin', undefined, { timeoutMs: 100 }));
        const third = lab.submit('develop', 3);
        await wait(endless);
        const from = performance.now();
        const { done } = await wait([third], { timeoutMs: patienceMs });
        if (done.has(third)) after = performance.now() - from;
      });
      return after;
    };
    const lost = await behind(new SlotLost<typeof PhotoLab>(shop), 1_000);
    story.verdict(
      'A limit that only answers the caller leaves no machine to the third',
      lost === Number.POSITIVE_INFINITY ? 'no photo in 1000 ms' : ms(lost),
      lost > 1_000,
    );
    for (const kind of kinds) {
      // How soon is the machine's matter: a new process may take it seconds.
      const free = await behind(new Executor({ ...shop, kind }), 20_000);
      const served = Number.isFinite(free);
      story.verdict(`Ended and replaced (${kind}): the third is served`, `${ms(free)} after the limits`, served);
    }
  });

  await story.scene('Thread or process', async () => {
    story.say('A film has the kernel kill the process in which it is developed. Behind it waits another.');
    const program = join(import.meta.dirname, 'test/counter.ts');
    const counter = async (kind: WorkerKind) => {
      const run = promisify(execFile)(process.execPath, [program, kind]);
      return run.then(
        ({ stdout }) => stdout.trim().split('\n'),
        (error) => [`the program: ${error.signal}`],
      );
    };
    const threads = await counter('thread');
    const processes = await counter('process');
    story.verdict(
      'Threads go down with their process, and the program with them',
      threads.join(', '),
      threads.join() === 'the program: SIGKILL',
    );
    story.verdict(
      'A process goes down alone',
      processes.join(', '),
      processes.join() === `${WorkerCrashedError.name}: SIGKILL,photo 2`,
    );
    const rows: string[][] = [];
    for (const kind of kinds) {
      await using(new Executor({ ...shop, kind, maxWorkers: 1 }), async (lab) => {
        const time = async (task: () => PromiseLike<unknown>, times: number) => {
          const costs: number[] = [];
          for (let turn = 0; turn < times; turn++) {
            const from = performance.now();
            await task();
            costs.push(performance.now() - from);
          }
          return median(costs);
        };
        const first = await time(() => lab.submit('develop', 1), 1);
        const next = await time(() => lab.submit('develop', 1), 200);
        const pixels = new Uint8Array(8_000_000);
        rows.push([
          kind,
          ms(first),
          `${(next * 1_000).toFixed(0)} µs`,
          ms(await time(() => lab.submit('size', pixels), 5)),
        ]);
      });
    }
    story.table({
      caption: 'What a journey costs',
      columns: ['', 'first task', 'next tasks', '8 MB'].map((label, at) =>
        at ? { label, align: 'right' as const } : label,
      ),
      rows,
    });
  });

  const speed = await twoMachines();
  const title = 'Two machines are faster than one';
  if (speed.cores < 1.5) story.skip(title, `cannot be shown here: ${speed.cores.toFixed(2)} cores were free for us`);
  else {
    await story.scene(title, async () => {
      story.say(
        `Two bare threads got ${speed.cores.toFixed(2)} × the work of one done. Eight enlargements, three rounds:`,
      );
      story.verdict(
        'In a pool of two they take less time than in our own thread',
        `${speed.gain.toFixed(2)} ×`,
        speed.gain >= 1.2,
      );
    });
  }
});

/** What the machine gives to two threads, and what the pool makes of it: medians of three rounds, none below 1.5 cores. */
async function twoMachines(): Promise<{ cores: number; gain: number }> {
  const steps = 4_000_000;
  const time = async (work: () => unknown) => {
    const from = performance.now();
    await work();
    return performance.now() - from;
  };
  const bare = () =>
    new Promise((resolve) =>
      new Worker(`for (let n = 0, x = 1; n < ${5 * steps}; n++) x = (x * 16807) % 2147483647`, { eval: true }).on(
        'exit',
        resolve,
      ),
    );
  const lab: Lab = new Executor({ ...shop, minWorkers: 2 });
  await wait([lab.submit('enlarge', steps), lab.submit('enlarge', steps)]);
  const rounds: { cores: number; gain: number }[] = [];
  for (let round = 0; round < 3; round++) {
    const one = await time(bare);
    const two = await time(() => Promise.all([bare(), bare()]));
    const cores = (2 * one) / two;
    if (cores < 1.5) return lab.shutdown().then(() => ({ cores, gain: Number.NaN }));
    const alone = await time(() => Array.from({ length: 8 }, () => enlarge(steps)));
    const pooled = await time(() => wait(Array.from({ length: 8 }, () => lab.submit('enlarge', steps))));
    rounds.push({ cores, gain: alone / pooled });
  }
  await lab.shutdown();
  return { cores: median(rounds.map(({ cores }) => cores)), gain: median(rounds.map(({ gain }) => gain)) };
}
