import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { until } from '@shared/testkit';
import { Redis } from 'ioredis';
import { TaskQueue as AllBackTogether } from './pitfalls/all-back-together.ts';
import { TaskQueue as WaitsForEver } from './pitfalls/waits-for-ever.ts';
import {
  HardTimeLimitError,
  PermanentError,
  type RetryPolicy,
  sandboxed,
  type TaskContext,
  TaskFailedError,
  type TaskOptions,
  TaskQueue,
  type Tasks,
  task,
} from './src/index.ts';
import scan from './test/scanner.ts';

const PATIENCE = { timeoutMs: 20_000 };
const ms = (value: number) => `${value.toFixed(0)} ms`;
const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
/** The most of `moments` that lie within `window` milliseconds of each other. */
const peak = (moments: readonly number[], window: number) =>
  Math.max(0, ...moments.map((from) => moments.filter((at) => at >= from && at < from + window).length));

const options = {
  title: 'Task queue 任务队列',
  subtitle: 'The photo shop: hand in the film, take the ticket, come back for the prints',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  const redis = await story.use(startRedis());
  const [{ url }] = redis.nodes;
  await using bin = new AsyncDisposableStack();
  const counter = bin.adopt(new Redis(url), (client) => client.disconnect());
  let shops = 0;
  /** A shop's queue: two with one name are two instances of it. */
  const where = (name = `shop-${++shops}`) => ({ connection: { url }, prefix: `${redis.namespace}bull`, name });
  const open = <M extends Tasks>(tasks: M, Queue = TaskQueue, at = where()) => bin.use(new Queue<M>(tasks, at));

  await story.scene('At the counter until the prints are dry', async () => {
    story.say('Developing a film takes 60 ms. Ten customers come, one after the other, and the clerk does it at once.');
    const develop = async (film: number) => {
      await delay(60);
      return `negatives ${film}`;
    };
    const shop = open({ develop: task(develop) });
    await shop.worker({ concurrency: 10 });
    const serve = async (serveOne: (film: number) => Promise<unknown>) => {
      const waits: number[] = [];
      for (let film = 0; film < 10; film++) {
        const start = performance.now();
        await serveOne(film);
        waits.push(performance.now() - start);
      }
      return median(waits);
    };
    const atOnce = await serve(develop);
    const tickets: { get(): Promise<string> }[] = [];
    const ticketed = await serve(async (film) => tickets.push(await shop.delay('develop', film)));
    const films = await Promise.all(tickets.map((ticket) => ticket.get()));
    story.bars({
      title: 'How long a customer stands at the counter (median)',
      unit: 'ms',
      items: [
        { label: 'work inside the request', value: atOnce, tone: 'bad' },
        { label: 'a task and a ticket', value: ticketed, tone: 'good' },
      ],
    });
    story.verdict(
      'With a ticket the customer is free at once, and gets the same',
      `${ms(atOnce)} at the counter against ${ms(ticketed)}; ${films.length} of 10 films developed`,
      ticketed < atOnce && films.length === 10,
    );
  });

  await story.scene('The power goes out', async () => {
    story.say('Twenty films are accepted. In the middle of the work the process gets `kill -9`: no handler runs.');
    const memory = fork(join(import.meta.dirname, 'test/memory-shop.ts'));
    bin.defer(() => void memory.kill('SIGKILL'));
    const [accepted, done] = [new Set<string>(), new Set<string>()];
    memory.on('message', (said: { accepted?: string; done?: string }) => {
      if (said.accepted) accepted.add(said.accepted);
      if (said.done) done.add(said.done);
    });
    for (let film = 0; film < 20; film++) memory.send(`film ${film}`);
    await until(() => accepted.size === 20 && done.size >= 3, PATIENCE);
    memory.kill('SIGKILL');
    await once(memory, 'exit');
    const lost = accepted.size - done.size;
    story.verdict('A queue in memory dies with its process', `${lost} of ${accepted.size} films are lost`, lost > 0);

    const { prefix, name } = where();
    const desk = open({ develop: task((film: string) => film) }, TaskQueue, { connection: { url }, prefix, name });
    const start = (lockMs: number) => {
      const shop = spawn(process.execPath, [
        join(import.meta.dirname, 'test/shop.ts'),
        url,
        prefix,
        name,
        String(lockMs),
      ]);
      bin.defer(() => void shop.kill('SIGKILL'));
      return shop;
    };
    const tickets = await Promise.all(Array.from({ length: 20 }, (_, film) => desk.delay('develop', `film ${film}`)));
    const victim = start(500);
    const begun = () => counter.lrange(`${prefix}:begun`, 0, -1);
    await until(async () => (await begun()).length === 1, PATIENCE);
    victim.kill('SIGKILL');
    await once(victim, 'exit');
    start(30_000);
    await until(async () => (await begun()).length === 2, PATIENCE);
    await counter.set(`${prefix}:enough`, 1);
    const films = await Promise.all(tickets.map((ticket) => ticket.get()));
    const runs = await begun();
    await counter.del(`${prefix}:begun`, `${prefix}:enough`);
    story.verdict(
      'A queue in Redis outlives its worker: another one takes over',
      `${films.length} of 20 films developed`,
      films.length === 20,
    );
    story.verdict(
      'The film that was in the bath is developed twice: a task runs at least once, not exactly once',
      `${runs.length} runs of ${new Set(runs).size} tasks`,
      runs.length === 21 && new Set(runs).size === 20,
    );
    story.say('Both runs have the same `id`. A payment that carries it as its idempotency key is made once.');
  });

  await story.scene('Everybody tries again at the same moment', async () => {
    story.say('Sixty prints fail together: no paper. Each will try again, after 2 s, or after 2 s at most.');
    const retry = { attempts: 2, baseMs: 2_000 } satisfies RetryPolicy;
    /** When each print is due again, in milliseconds since the first of them failed: as it stands in Redis. */
    const dues = async (Queue: typeof TaskQueue) => {
      const failedAt = new Map<string, number>();
      const print = (_: number, { id }: { id: string }) => {
        failedAt.set(id, performance.now());
        throw new Error('no paper');
      };
      const shop = open({ print: task(print, { retry }) }, Queue);
      await shop.group(Array.from({ length: 60 }, (_, photo) => shop.s('print', photo)));
      await shop.worker({ concurrency: 60 });
      await until(async () => (await shop.bull.getDelayedCount()) === 60, PATIENCE);
      const start = Math.min(...failedAt.values());
      const waiting = await shop.bull.getDelayed();
      return waiting.map(({ id = '', delay: wait }) => (failedAt.get(id) ?? start) - start + wait);
    };
    const [fixed, spread] = [await dues(AllBackTogether), await dues(TaskQueue)];
    const STEP = 100;
    const perStep = (moments: readonly number[]) =>
      Array.from({ length: 25 }, (_, step) => {
        const from = step * STEP;
        return [from, moments.filter((at) => at >= from && at < from + STEP).length] as const;
      });
    story.lines({
      title: 'Prints that try again, in each 100 ms',
      x: { label: 'since the first failure', unit: 'ms' },
      y: { label: 'prints' },
      series: [
        { label: 'fixed delay', points: perStep(fixed), tone: 'bad' },
        { label: 'half of the delay is chance', points: perStep(spread), tone: 'good' },
      ],
      picture: true,
    });
    story.code('src/task-queue.ts', { from: 'backoff: {' });
    const peaks = [peak(fixed, STEP), peak(spread, STEP)] as const;
    story.verdict(
      'Chance takes the peak off',
      `at most ${peaks[0]} of 60 in 100 ms with a fixed delay, ${peaks[1]} with jitter`,
      peaks[1] < peaks[0],
    );
  });

  await story.scene('Three clerks, three alarm clocks', async () => {
    story.say('The day is reported at a fixed time. The shop has three instances, each with the same `setInterval`.');
    const TICKS = 5;
    let reports = 0;
    let struck = 0;
    const clocks = Array.from({ length: 3 }, (_, clerk) =>
      setInterval(() => {
        if (clerk === 0) struck += 1;
        reports += 1;
      }, 100),
    );
    await until(() => struck === TICKS, PATIENCE);
    for (const clock of clocks) clearInterval(clock);
    story.verdict('Every instance reports', `${reports} reports at ${TICKS} strikes`, reports > 2 * TICKS);

    const ran: string[] = [];
    const tasks = { report: task((_: null, { id }) => void ran.push(id)) };
    const at = where();
    const instances = [open(tasks, TaskQueue, at), open(tasks, TaskQueue, at), open(tasks, TaskQueue, at)];
    for (const instance of instances) await instance.beat('day', { everyMs: 100 }, 'report', null);
    await Promise.all(instances.map((instance) => instance.worker()));
    await until(() => ran.length >= TICKS, PATIENCE);
    await instances[0]?.endBeat('day');
    story.verdict(
      'A schedule that lies in Redis strikes once, whatever the number of instances',
      `${ran.length} reports at ${new Set(ran).size} strikes`,
      new Set(ran).size === ran.length,
    );
  });

  await story.scene('An album: one after the other, side by side, then bound', async () => {
    const develop = (film: string) => ({ film, negatives: [3, 1, 2] });
    const print = async (negative: number) => {
      await delay(negative * 15);
      if (negative > 8) throw new PermanentError(`negative ${negative} is black`);
      return `photo ${negative}`;
    };
    const tasks = { develop: task(develop), print: task(print), bind: task((photos: string[]) => photos.join(' · ')) };
    const shop = open(tasks);
    await shop.worker({ concurrency: 4 });
    const { negatives } = await (await shop.delay('develop', 'Kodak 400')).get();
    const album = (queue: TaskQueue<typeof tasks>, numbers: number[]) =>
      queue.chord(
        numbers.map((negative) => queue.s('print', negative)),
        'bind',
      );
    const bound = await (await album(shop, negatives)).get();
    story.verdict(
      'A chord binds the prints in the order of the negatives, whichever dried first',
      `"${bound}"`,
      bound === negatives.map((negative) => `photo ${negative}`).join(' · '),
    );
    const naive = open(tasks, WaitsForEver);
    await naive.worker({ concurrency: 4 });
    const stuck = await album(naive, [1, 9]);
    await until(async () => (await naive.bull.getJobCounts('failed', 'completed'))['failed'] === 1, PATIENCE);
    const state = await until(() => stuck.state(), PATIENCE);
    story.verdict(
      "BullMQ's default, when a print fails for good: the album waits",
      `it is ${state}`,
      state === 'waiting-children',
    );
    const failure = await (await album(shop, [1, 9])).get().catch((error: unknown) => error);
    story.verdict(
      'Here it fails, and names the print',
      failure instanceof TaskFailedError ? failure.reason : String(failure),
      failure instanceof TaskFailedError && failure.reason.includes('black'),
    );
  });

  await story.scene('The scanner jams', async () => {
    const JAM_MS = 1_200;
    const LIMIT_MS = 100;
    story.say(
      `One worker, one place. A scan that would take ${JAM_MS} ms has it; after ${LIMIT_MS} ms it is told to stop, and doesn't listen. Five prints wait behind it.`,
    );
    const triedOnce = { retry: { attempts: 1 } } satisfies TaskOptions;
    let printed = 0;
    const print = task((photo: number) => {
      printed += 1;
      return photo;
    });
    const five = [1, 2, 3, 4, 5];
    let told = false;
    let meanwhile = Number.NaN;
    const jam = async (jamMs: number, { signal }: TaskContext) => {
      signal.addEventListener('abort', () => {
        told = true;
      });
      const done = await scan(jamMs);
      meanwhile = printed;
      return done;
    };
    const deaf = open({ scan: task(jam, { ...triedOnce, softLimitMs: LIMIT_MS }), print });
    const scanned = await deaf.delay('scan', JAM_MS);
    const behind = await deaf.group(five.map((photo) => deaf.s('print', photo)));
    await deaf.worker();
    await Promise.all([scanned.get(), behind.get()]);
    story.verdict(
      'A handler that ignores its signal keeps its place',
      `told to stop: ${told ? 'yes' : 'no'}; prints served until it was done: ${meanwhile} of 5`,
      told && meanwhile === 0,
    );

    story.say(`Now the scan jams for an hour, in a thread of its own, with a hard limit of ${5 * LIMIT_MS} ms.`);
    printed = 0;
    const module = new URL('./test/scanner.ts', import.meta.url);
    const hard = open({ scan: sandboxed<typeof scan>(module, { ...triedOnce, hardLimitMs: 5 * LIMIT_MS }), print });
    const jammed = await hard.delay('scan', 3_600_000);
    const next = await hard.group(five.map((photo) => hard.s('print', photo)));
    const start = performance.now();
    await hard.worker();
    const failure = await jammed.get().catch((error: unknown) => error);
    await next.get();
    const served = performance.now() - start;
    story.verdict(
      'At its hard limit the thread is ended, and the next are served',
      `${printed} of 5 prints after ${ms(served)}; the scan: ${failure instanceof Error ? failure.name : failure}`,
      printed === 5 && failure instanceof HardTimeLimitError,
    );
  });
});
