import { pbkdf2 } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { tell } from '@shared/story';
import { until } from '@shared/testkit';
import { type Block, chunked, Mutex, measureDelay, nextTurn, offload, SharedCounter, watchdog } from './src/index.ts';
import type * as Threads from './test/threads.ts';
import { burn, newRace } from './test/threads.ts';
import type * as Till from './test/till.ts';
import { openDoor, receipts, total } from './test/till.ts';

const ms = (value: number) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
const sorted = (values: readonly number[]) => values.toSorted((a, b) => a - b);
const percentile = (values: readonly number[], share: number) =>
  sorted(values)[Math.ceil(values.length * share) - 1] ?? NaN;
const median = (values: readonly number[]) => percentile(values, 0.5);
const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0);
async function time(work: () => unknown): Promise<number> {
  const from = performance.now();
  await work();
  return performance.now() - from;
}

const inThread = offload<typeof Threads>(new URL('./test/threads.ts', import.meta.url));
const tillUrl = new URL('./test/till.ts', import.meta.url);
const atOtherTill = offload<typeof Till>(tillUrl);

const options = {
  title: 'Event loop 事件循环与 GIL',
  subtitle: 'One cashier for the whole shop: who holds him up, for how long, and with which line',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  await story.scene('One long receipt', async () => {
    story.say(
      'A customer comes from outside every 10 ms: a thread that sends a message, which our event loop answers. Meanwhile the ' +
        'cashier adds up the day: 300 ms of work, in three ways. The shop closes 100 ms later.',
    );
    const report = Array.from({ length: 300 }, (_, receipt) => receipt);
    const ways: Record<string, () => unknown> = {
      'in one go': () => report.forEach(() => void burn(1)),
      'in slices of 10 ms': () => chunked(report, () => burn(1), { budgetMs: 10 }),
      'in a thread': () => inThread('burn', 300),
    };
    const rows: [string, number, number, number, number][] = [];
    const series: { label: string; points: [number, number][]; tone: 'bad' | 'warn' | 'good' }[] = [];
    for (const [label, work] of Object.entries(ways)) {
      const door = await openDoor(10);
      await delay(30);
      const nodes = monitorEventLoopDelay({ resolution: 10 });
      nodes.enable();
      using ours = measureDelay({ resolutionMs: 10 });
      await delay(20);
      await work();
      await delay(100);
      const measured = ours.stop();
      const customers = await door.close();
      const waits = customers.filter(({ at }) => at > 50).map(({ ms }) => ms);
      rows.push([label, median(waits), measured.p50, Math.max(0, nodes.percentile(50) / 1e6 - 10), Math.max(...waits)]);
      nodes.disable();
      const tone = (['bad', 'warn', 'good'] as const)[series.length] ?? 'good';
      series.push({ label, points: customers.map(({ at, ms }) => [at, ms]), tone });
    }
    story.lines({
      title: 'How long the customer waits who comes at this moment',
      x: { label: 'comes at', unit: 'ms' },
      y: { label: 'waits', unit: 'ms', min: 0 },
      series,
      picture: true,
    });
    const columns = ['the report', 'p50 at the door', 'measureDelay', "Node's monitor", 'longest'];
    story.table({ columns, rows: rows.map(([label, ...cells]) => [label, ...cells.map(ms)]) });
    const [block, slices, thread] = rows;
    if (!block || !slices || !thread) throw new Error('three ways');
    story.verdict('One go: who comes waits for the whole rest', `longest ${ms(block[4])}`, block[4] >= 250);
    story.verdict(
      'measureDelay says what the customers say',
      `p50 ${ms(block[2])}, ${ms(block[1])} at the door`,
      Math.abs(block[2] - block[1]) < block[4] / 6,
    );
    story.verdict(
      "Node's monitor counts the block as one sample among its idle ones",
      `p50 ${ms(block[3])}`,
      block[3] < block[1] / 3,
    );
    story.verdict(
      'In slices, or in a thread, nobody waits half as long',
      `${ms(slices[4])}, ${ms(thread[4])}`,
      Math.max(slices[4], thread[4]) < block[4] / 2,
    );
    story.code('src/delay.ts', { from: 'for (; due <= now', to: '}' });
  });

  await story.scene('Who has a turn', async () => {
    story.say(
      '100 ms of work, a pause after each millisecond. A timer wants its turn every 5 ms: how often does it get one?',
    );
    const served = async (pause: () => Promise<unknown>) => {
      let turns = 0;
      const timer = setInterval(() => turns++, 5);
      for (let step = 0; step < 100; step++) {
        burn(1);
        await pause();
      }
      clearInterval(timer);
      return turns;
    };
    const promises = await served(async () => null);
    const turns = await served(nextTurn);
    story.verdict(
      '`await` on a promise is no pause: promises go first, however many come',
      `${promises} turns`,
      promises === 0,
    );
    story.verdict('`nextTurn` is one', `${turns} turns`, turns > 0);
  });

  await story.scene('One thread is no lock, and no more is a GIL', async () => {
    story.say(
      'A hundred deposits of 1: read the balance, await the bank, write it. Only one line runs at a time, as under ' +
        "Python's GIL; but others run in between.",
    );
    const balance = async (around: (deposit: () => Promise<void>) => Promise<void>) => {
      let account = 0;
      const deposit = async () => {
        const seen = account;
        await nextTurn();
        account = seen + 1;
      };
      await Promise.all(Array.from({ length: 100 }, () => around(deposit)));
      return account;
    };
    const mutex = new Mutex();
    const bare = await balance((deposit) => deposit());
    const locked = await balance((deposit) => mutex.lockAsync(deposit));
    story.verdict('One thread, no lock', `${100 - bare} of 100 deposits lost`, bare < 100);
    story.verdict('One thread, `lockAsync`', `${100 - locked} lost`, locked === 100);
    story.say('Now two threads count up one number in shared memory, each for 150 ms, started through one gate.');
    const count = async (kind: 'countPlain' | 'countUp' | 'countLocked') => {
      const counter = new SharedCounter();
      const { race, run } = newRace(2);
      const shared = { counter: counter.buffer, plain: counter.buffer, mutex: new Mutex().buffer, ...race };
      const counting = Promise.all([inThread(kind, shared), inThread(kind, shared)]);
      await run(150);
      const all = sum(await counting);
      return { kind, all, lost: all - counter.value };
    };
    const [plain, atomic, guarded] = [await count('countPlain'), await count('countUp'), await count('countLocked')];
    story.table({
      columns: ['', 'updates', 'lost'],
      rows: [
        ['number[0]++', plain.all.toLocaleString('en'), plain.lost.toLocaleString('en')],
        ['SharedCounter: one step', atomic.all.toLocaleString('en'), atomic.lost],
        ['Mutex, around a short sleep', guarded.all.toLocaleString('en'), guarded.lost],
      ],
    });
    story.verdict('Shared memory, plainly', `${((100 * plain.lost) / plain.all).toFixed(0)} % lost`, plain.lost > 0);
    story.verdict(
      'Atomics, and a lock',
      `${atomic.lost} and ${guarded.lost} lost`,
      atomic.lost === 0 && guarded.lost === 0,
    );
  });

  const speed = await twoJobs();
  const title = 'What the GIL forbids, and what it does not';
  if (speed.cores < 1.5) story.skip(title, `cannot be shown here: ${speed.cores.toFixed(2)} cores were free for us`);
  else {
    await story.scene(title, async () => {
      story.say(
        `"Threads can't do CPU work because of the GIL": they can, one at a time in bytecode; C code lets go of it, and since PEP ` +
          `703 there is a build without. Node's counterpart, two jobs against one (${speed.cores.toFixed(2)} cores measured):`,
      );
      story.bars({
        title: 'Time of two jobs, in jobs',
        items: [
          { label: 'two async functions: one thread', value: speed.async, tone: 'bad' },
          { label: 'two threads', value: speed.threads, tone: 'good' },
          { label: "two pbkdf2: native code, libuv's pool", value: speed.native, tone: 'good' },
        ],
      });
      story.verdict('async is no second cashier', `${speed.async.toFixed(2)} ×`, speed.async > 1.6);
      const best = Math.max(speed.threads, speed.native);
      story.verdict(
        'Threads and native code are',
        `${speed.threads.toFixed(2)} × and ${speed.native.toFixed(2)} ×`,
        best < 0.9 * speed.async,
      );
    });
  }

  await story.scene('A file behind eight passwords', async () => {
    const lanes = Number(process.env['UV_THREADPOOL_SIZE'] ?? 4);
    story.say(
      `Files, DNS look-ups and \`pbkdf2\` share libuv's pool: ${lanes} threads, first come, first served. Eight passwords and more, then a ` +
        'file of a few bytes. How many passwords are done when the file is there?',
    );
    const hash = () => promisify(pbkdf2)('guest', 'salt', 150_000, 32, 'sha256');
    const passwords = lanes + 4;
    const behind = async (atOnce: number) => {
      let done = 0;
      let next = 0;
      const line = async () => {
        while (next++ < passwords) {
          await hash();
          done++;
        }
      };
      const all = Promise.all(Array.from({ length: atOnce }, line));
      await readFile(fileURLToPath(tillUrl));
      const before = done;
      await all;
      return before;
    };
    const queued = await behind(passwords);
    const free = await behind(Math.max(1, lanes - 1));
    story.verdict(
      'All at once: the file waits for a lane',
      `${queued} of ${passwords} passwords first`,
      queued >= passwords - lanes,
    );
    story.verdict('One lane is left free', `${free} of ${passwords} first`, free < queued);
  });

  await story.scene('The line that blocks', async () => {
    const blocks: Block[] = [];
    const dog = watchdog({ thresholdMs: 60, fd: null, onBlock: (block) => blocks.push(block) });
    const rows: string[][] = [];
    const source = (await readFile(fileURLToPath(tillUrl), 'utf8')).split('\n');
    for (const [kind, receipt] of Object.entries(receipts)) {
      await delay(150);
      // What takes 400 ms here: found by trying, from what is quick.
      let size = kind === 'regex' ? 16 : 2_000;
      while ((await time(() => receipt(size))) < (kind === 'json' ? 20 : 15))
        size = kind === 'regex' ? size + 1 : size * 2;
      size = kind === 'regex' ? size + 4 : size * 16;
      await delay(50);
      blocks.length = 0;
      const took = await time(() => receipt(size));
      await until(() => blocks.length > 0, { timeoutMs: 3_000, what: 'the report of the watchdog' });
      const [block] = blocks;
      const line = Number(/till\.ts:(\d+)/.exec(block?.site ?? '')?.[1]);
      const culprit =
        source.findIndex((text) => text.startsWith(kind === 'loop' ? '  for (let step' : `  ${kind}:`)) + 1;
      rows.push([
        kind,
        ms(took),
        ms(block?.blockedMs ?? NaN),
        line ? `till.ts:${line}` : '–',
        ms(block?.readAfterMs ?? NaN),
      ]);
      if (kind !== 'json') {
        story.verdict(
          `The ${kind} is named while it blocks`,
          `line ${line}, ${ms(block?.blockedMs ?? NaN)} into ${ms(took)}`,
          line === culprit && (block?.blockedMs ?? NaN) < took,
        );
      }
    }
    dog[Symbol.dispose]();
    const columns = ['', 'blocks for', 'looked at after', 'line', 'answer took'];
    story.table({ columns, rows });
    story.say(
      'Native code answers when it is done: for `JSON.parse` the wait itself is the hint, the line may be the one behind it.',
    );
    story.code('src/watchdog-thread.ts', { from: 'session.connectToMainThread()', to: 'Runtime.evaluate' });
  });
});

/** What the machine gives to two threads, and the time of two jobs in units of one: medians of three rounds. */
async function twoJobs(): Promise<{ cores: number; async: number; threads: number; native: number }> {
  const steps = 12_000_000;
  const hash = () => promisify(pbkdf2)('guest', 'salt', 200_000, 32, 'sha256');
  total(steps);
  const job = async () => total(steps);
  const other = () => atOtherTill('total', 3 * steps);
  const rounds: { cores: number; async: number; threads: number; native: number }[] = [];
  for (let round = 0; round < 3; round++) {
    const bare = await time(() => atOtherTill('password', 400_000));
    const cores =
      (2 * bare) /
      (await time(() => Promise.all([atOtherTill('password', 400_000), atOtherTill('password', 400_000)])));
    if (cores < 1.5) return { cores, async: NaN, threads: NaN, native: NaN };
    const one = await time(job);
    const inOne = (await time(() => Promise.all([job(), job()]))) / one;
    const far = await time(other);
    const native = await time(hash);
    rounds.push({
      cores,
      async: inOne,
      threads: (await time(() => Promise.all([other(), other()]))) / far,
      native: (await time(() => Promise.all([hash(), hash()]))) / native,
    });
  }
  const of = (key: keyof (typeof rounds)[number]) => median(rounds.map((round) => round[key]));
  return { cores: of('cores'), async: of('async'), threads: of('threads'), native: of('native') };
}
