import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { outcome, until } from '@shared/testkit';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  CounterRangeError,
  chunked,
  InvalidArgumentError,
  Mutex,
  measureDelay,
  nextTurn,
  OwnerDiedError,
  offload,
  RingBuffer,
  SharedCounter,
  ThreadEndedError,
  WrongThreadError,
  watchdog,
} from '#lab';
import { ended, file, newDoor, PATIENCE, thread, words } from './helpers.ts';
import type * as Threads from './threads.ts';
import { burn, newRace } from './threads.ts';

vi.setConfig({ testTimeout: 20_000 });

/** What untyped code may hand in. */
const untyped = (value: unknown) => Object(value);
const program = (name: string) => join(import.meta.dirname, name);

/** The turns of the loop that `work` takes. */
async function turnsOf(work: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  let over = false;
  const count = () => {
    turns++;
    if (!over) setImmediate(count);
  };
  setImmediate(count);
  await work();
  over = true;
  return turns;
}

/** A source that says whether it was closed. */
function* counted(seen: { closed: boolean; drawn: number }) {
  try {
    for (;;) yield seen.drawn++;
  } finally {
    seen.closed = true;
  }
}

test('short items share a slice: a turn is not paid for each', async () => {
  const items = Array.from({ length: 20_000 }, (_, at) => at);
  const turns = await turnsOf(() => chunked(items, (item) => item + 1, { budgetMs: 20 }));
  expect(turns).toBeLessThan(2_000);
});

test('ten jobs in slices take turns: together they work no longer in one than one of them', async () => {
  let turn = 0;
  let over = false;
  const perTurn = new Map<number, number>();
  const count = () => {
    turn++;
    if (!over) setImmediate(count);
  };
  count();
  const job = () =>
    chunked(
      Array.from({ length: 4 }),
      () => {
        burn(1);
        perTurn.set(turn, (perTurn.get(turn) ?? 0) + 1);
      },
      { budgetMs: 2 },
    );
  await Promise.all(Array.from({ length: 10 }, job));
  over = true;
  expect(Math.max(...perTurn.values()), 'items of 1 ms in one turn').toBeLessThanOrEqual(2);
});

test('work in slices stops at the next one with the reason of the signal, or with what was thrown, and closes its source', async () => {
  const seen = { closed: false, drawn: 0 };
  const stop = new AbortController();
  const reason = new Error('the till is closed');
  const job = chunked(counted(seen), () => burn(1), { budgetMs: 2, signal: stop.signal });
  setImmediate(() => setImmediate(() => stop.abort(reason)));
  expect((await outcome(job)).error).toBe(reason);
  expect(seen.closed).toBe(true);
  const failing = { closed: false, drawn: 0 };
  const failed = chunked(counted(failing), (item) => {
    if (item === 3) throw reason;
  });
  expect((await outcome(failed)).error).toBe(reason);
  expect(failing).toEqual({ closed: true, drawn: 4 });
  const never = { closed: false, drawn: 0 };
  const { error } = await outcome(chunked(counted(never), () => 1, { signal: AbortSignal.abort(reason) }));
  expect(error).toBe(reason);
  expect(never.drawn).toBe(0);
});

test('work in slices refuses a promise as a result, and a budget of nothing', async () => {
  const promised = await outcome(
    chunked(
      [1],
      untyped(async () => 1),
    ),
  );
  expect(promised.error).toBeInstanceOf(InvalidArgumentError);
  const rejected = untyped(async () => Promise.reject(new Error('nobody waits for this one')));
  expect((await outcome(chunked([1], rejected))).error).toBeInstanceOf(InvalidArgumentError);
  for (const items of [5, undefined, { async *[Symbol.asyncIterator]() {} }]) {
    expect((await outcome(chunked(untyped(items), () => 1))).error).toBeInstanceOf(InvalidArgumentError);
  }
  expect((await outcome(chunked([1], untyped('fn')))).error).toBeInstanceOf(InvalidArgumentError);
  for (const budgetMs of [0, -1, Number.NaN, untyped('5')]) {
    expect((await outcome(chunked([1], () => 1, { budgetMs }))).error).toBeInstanceOf(InvalidArgumentError);
  }
  expect(await chunked([], () => 1)).toEqual([]);
});

test('a measure says the same after its end, and nothing when nobody came', async () => {
  const measure = measureDelay({ resolutionMs: 2 });
  burn(10);
  const first = measure.stop();
  expect(first.samples).toBeGreaterThan(0);
  expect(first.p50).toBeLessThanOrEqual(first.p99);
  expect(first.p99).toBeLessThanOrEqual(first.max);
  burn(10);
  expect(measure.stop()).toEqual(first);
  expect(measureDelay({ resolutionMs: 60_000 }).stop()).toEqual({ p50: NaN, p99: NaN, max: NaN, samples: 0 });
  expect(measureDelay({ resolutionMs: 1 }).stop().samples).toBeLessThan(50);
  for (const resolutionMs of [0, -1, Number.NaN, 2 ** 31, untyped('5')]) {
    expect(() => measureDelay({ resolutionMs })).toThrow(InvalidArgumentError);
  }
});

test('the loop that turns is measured as well as the one that stands', async () => {
  const measure = measureDelay({ resolutionMs: 5 });
  const from = performance.now();
  await until(() => performance.now() - from > 100);
  const most = (performance.now() - from) / 5;
  const { samples } = measure.stop();
  expect(samples).toBeGreaterThanOrEqual(19);
  expect(samples, 'no caller is counted twice').toBeLessThanOrEqual(most + 1);
});

test('a thread that ends without a result, and a function or an input that is none, are refused by name', async () => {
  const run = offload<typeof Threads>(file);
  expect((await ended(run('leave', 7))).error).toBeInstanceOf(ThreadEndedError);
  expect((await ended(run('fail', 7))).error).toMatchObject({ cause: { message: 'why' } });
  for (const name of ['nothing', 'toString', '__proto__', 'constructor']) {
    const { error } = await ended(run(untyped(name).toString(), untyped(1)));
    expect(error).toMatchObject({ message: `The module exports no function "${name}".` });
  }
  expect(
    (
      await ended(
        run(
          'late',
          untyped(() => 1),
        ),
      )
    ).error,
  ).toBeInstanceOf(InvalidArgumentError);
  expect(`${(await ended(run('uncloneable', undefined))).error}`).toContain(
    `The result of "uncloneable" can't be copied`,
  );
  expect(() => offload(untyped('./threads.ts'))).toThrow(InvalidArgumentError);
  const gone = offload<typeof Threads>(new URL('./nowhere.ts', import.meta.url));
  expect((await ended(gone('late', 1))).error).toMatchObject({ code: 'ERR_MODULE_NOT_FOUND' });
});

test('a signal ends the thread with its own reason, and what is transferred is gone here', async () => {
  const run = offload<typeof Threads>(file);
  const counter = words(1);
  const stop = new AbortController();
  const endless = run('countForEver', counter.buffer, { signal: stop.signal });
  await until(() => Atomics.load(counter, 0) > 0);
  const reason = { why: 'closing time' };
  stop.abort(reason);
  expect((await ended(endless)).error).toBe(reason);
  await until(
    () => {
      const before = Atomics.load(counter, 0);
      burn(5);
      return Atomics.load(counter, 0) === before;
    },
    { what: 'the thread to stand still' },
  );
  expect((await ended(run('late', 1, { signal: AbortSignal.abort(reason) }))).error).toBe(reason);
  const bytes = new Uint8Array(1_000);
  expect((await ended(run('size', bytes, { transfer: [bytes.buffer] }))).value).toBe(1_000);
  expect(bytes.byteLength).toBe(0);
});

test('a shared counter refuses to leave its range, and what is no counter', () => {
  const counter = new SharedCounter();
  expect(counter.add(2 ** 31 - 1)).toBe(2 ** 31 - 1);
  expect(() => counter.add()).toThrow(CounterRangeError);
  expect(counter.value).toBe(2 ** 31 - 1);
  expect(counter.add(-(2 ** 31))).toBe(-1);
  expect(new SharedCounter().add(-(2 ** 31)), 'the least it can hold').toBe(-(2 ** 31));
  expect(() => counter.add(-(2 ** 31))).toThrow(CounterRangeError);
  expect(new SharedCounter(counter.buffer).value).toBe(-1);
  for (const by of [0.5, Number.NaN, 2 ** 31, -(2 ** 31) - 1, untyped('1')])
    expect(() => counter.add(by)).toThrow(InvalidArgumentError);
  for (const buffer of [new SharedArrayBuffer(8), untyped(new ArrayBuffer(4)), untyped({})]) {
    expect(() => new SharedCounter(buffer)).toThrow(InvalidArgumentError);
    expect(() => new Mutex(buffer)).toThrow(InvalidArgumentError);
  }
});

test('the main thread is never put to sleep: it waits for a mutex in its event loop', async () => {
  const mutex = new Mutex();
  const { door, inside, open } = newDoor();
  const first = thread('stay', { mutex: mutex.buffer, door });
  await inside(1, first);
  expect(() => mutex.lock(() => 1, { timeoutMs: 10 })).toThrow(WrongThreadError);
  expect((await outcome(mutex.lockAsync(() => 1, { timeoutMs: 20 }))).error).toMatchObject({
    name: 'LockTimeoutError',
  });
  const [a, b] = [1, 2].map((guest) =>
    mutex.lockAsync(async () => {
      await nextTurn();
      return guest;
    }),
  );
  setTimeout(open, 10);
  expect((await ended(first)).error).toBeUndefined();
  expect(await Promise.all([a, b].map((guest) => guest && ended(guest)))).toMatchObject([{ value: 1 }, { value: 2 }]);
  expect(await mutex.lockAsync(() => 'free', { timeoutMs: 0 }), 'who does not wait gets what is free').toBe('free');
  await expect(mutex.lockAsync(() => 1, { timeoutMs: -1 })).rejects.toThrow(InvalidArgumentError);
});

test('one async section ends before the next begins, on one thread too', async () => {
  const mutex = new Mutex();
  let balance = 0;
  const deposit = () =>
    mutex.lockAsync(async () => {
      const seen = balance;
      await nextTurn();
      balance = seen + 1;
    });
  expect((await outcome(Promise.all(Array.from({ length: 20 }, deposit)))).error).toBeUndefined();
  expect(balance).toBe(20);
});

test('a mutex is free after an error, refuses a promise as its work, and says so when a thread waits for itself', async () => {
  const mutex = new Mutex();
  const { door } = newDoor();
  const { buffer } = mutex;
  expect((await ended(thread('throwInside', { mutex: buffer, door }))).error).toMatchObject({ message: 'inside' });
  expect((await ended(thread('lockAround', buffer))).error).toMatchObject({ name: 'InvalidArgumentError' });
  expect((await ended(thread('lockTwice', { mutex: buffer, door }))).error).toMatchObject({ name: 'DeadlockError' });
  await expect(
    mutex.lockAsync(() => {
      throw new RangeError('inside');
    }),
  ).rejects.toThrow('inside');
  expect((await outcome(mutex.lockAsync(() => 'free', { timeoutMs: 500 }))).value).toBe('free');
});

test('who dies in the lock is noticed: the others are told, and go on after the repair', async () => {
  const mutex = new Mutex();
  const { door, inside, coming, open } = newDoor();
  const worker = new Worker(program('dying.ts'), { workerData: { mutex: mutex.buffer, door } });
  mutex.watch(worker);
  const gone = new Promise((resolve) => worker.once('exit', resolve));
  const failed = new Promise((_, reject) => worker.once('error', reject));
  await inside(1, failed);
  const next = thread('comeIn', { mutex: mutex.buffer, door, timeoutMs: 1_500 });
  await coming(1);
  open();
  expect((await ended(next)).error).toMatchObject({ name: 'OwnerDiedError' });
  await gone;
  expect((await outcome(mutex.lockAsync(() => 1))).error).toBeInstanceOf(OwnerDiedError);
  expect([mutex.repair(), mutex.repair()]).toEqual([true, false]);
  expect((await outcome(mutex.lockAsync(() => 'in'))).value).toBe('in');
  expect(() => mutex.watch(worker)).toThrow(InvalidArgumentError);
});

test('a thread that dies when it has been woken leaves nobody asleep at a free mutex', async () => {
  const mutex = new Mutex();
  const { door, inside, coming, open } = newDoor();
  const first = thread('stay', { mutex: mutex.buffer, door });
  await inside(1, first);
  const sleeper = thread('comeIn', { mutex: mutex.buffer, door, timeoutMs: 1_500 });
  await coming(1);
  const dying = new Worker('setInterval(() => {}, 1_000)', { eval: true });
  mutex.watch(dying);
  // The word says when the sleeper is about to sleep. Then the mutex is freed as by one who woke the dying thread.
  const word = new Int32Array(mutex.buffer);
  await until(() => Atomics.load(word, 0) % 2 === 1, { what: 'a sleeper' });
  burn(50);
  Atomics.store(word, 0, 0);
  await dying.terminate();
  expect((await ended(sleeper)).value).toMatch(/^in, with/);
  open();
  await ended(first);
});

test('a shared counter at its end is counted no further by many threads at once', async () => {
  const counter = new SharedCounter();
  counter.add(2 ** 31 - 1);
  const { race, run } = newRace(3);
  const counting = Array.from({ length: 3 }, () => thread('countBeyond', { counter: counter.buffer, ...race }));
  await Promise.race([run(100), Promise.all(counting)]);
  expect(await Promise.all(counting), 'updates beyond the end').toEqual([0, 0, 0]);
  expect(counter.value).toBe(2 ** 31 - 1);
});

test('a thread that dies outside of the lock breaks nothing', async () => {
  const mutex = new Mutex();
  const worker = new Worker('', { eval: true });
  mutex.watch(worker);
  const exit = new Promise((resolve) => worker.once('exit', resolve));
  const held = mutex.lockAsync(() => exit);
  expect((await outcome(held, PATIENCE)).error).toBeUndefined();
  expect(mutex.repair()).toBe(false);
  expect((await outcome(mutex.lockAsync(() => 'in'))).value).toBe('in');
});

test('who waits for a mutex keeps the program alive; who measures it does not', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [program('waiting-till.ts')], {
    timeout: 2 * PATIENCE,
  });
  expect(stdout.trim()).toBe('in');
});

test('a ring hands each value over once, in order, and never overwrites', async () => {
  const small = new RingBuffer(3);
  expect(small.capacity).toBe(4);
  expect([1, 2, 3, 4, 5].map((value) => small.push(value))).toEqual([true, true, true, true, false]);
  expect([small.size, small.pop(), small.push(6), small.push(7)]).toEqual([4, 1, true, false]);
  expect([1, 2, 3, 4, 5].map(() => small.pop())).toEqual([2, 3, 4, 6, undefined]);

  // The counters of a belt that has run for long: 2^31 is in the middle of it.
  const ring = new RingBuffer(256);
  new Int32Array(ring.buffer, 0, 2).fill(2 ** 31 - 1_000);
  const count = 20_000;
  const done = thread('put', { ring: ring.buffer, count });
  const wrong: string[] = [];
  let taken = 0;
  const take = async () => {
    while (taken < count) {
      for (let value = ring.pop(); value !== undefined; value = ring.pop()) {
        if (value !== taken++ && wrong.length < 5) wrong.push(`value ${taken - 1} was ${value}`);
      }
      await nextTurn();
    }
  };
  expect((await outcome(take(), PATIENCE)).error).toBeUndefined();
  expect((await ended(done)).error).toBeUndefined();
  expect([wrong, ring.size]).toEqual([[], 0]);
});

test('what is no ring is refused', () => {
  for (const from of [
    0,
    -1,
    1.5,
    Number.NaN,
    2 ** 25,
    untyped('8'),
    untyped(null),
    new SharedArrayBuffer(8),
    new SharedArrayBuffer(8 + 24),
  ]) {
    expect(() => new RingBuffer(from)).toThrow(InvalidArgumentError);
  }
  expect([new RingBuffer(1).capacity, new RingBuffer(new RingBuffer(5).buffer).capacity]).toEqual([1, 8]);
  expect(new RingBuffer(2 ** 24).capacity, 'the most').toBe(2 ** 24);
});

/** Runs slow-till.ts until it ends by itself. */
async function till(what: string, thresholdMs: number, meanwhile?: (child: ChildProcess) => Promise<void>) {
  const dir = mkdtempSync(join(tmpdir(), 'slow-till-'));
  const log = join(dir, 'log');
  const child = spawn(process.execPath, [program('slow-till.ts'), what, log, `${thresholdMs}`]);
  onTestFinished(() => {
    child.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  });
  let said = '';
  child.stdout.on('data', (data) => {
    said += data;
  });
  const exit = new Promise((resolve) => child.once('close', resolve));
  if (meanwhile) {
    await until(() => said.includes('ready'), { timeoutMs: 1_500 });
    await meanwhile(child);
  }
  expect((await outcome(exit, 2 * PATIENCE)).value).toBe(0);
  const { blocks, noticed } = JSON.parse(said.trim().split('\n').at(-1) ?? '');
  return { blocks, noticed, log: readFileSync(log, 'utf8') };
}

test('promises that follow each other without end are a block, too', async () => {
  const { blocks, noticed } = await till('promises', 80);
  expect(noticed).toBe(true);
  // Between two promises no line runs: then there is none to be named.
  expect(blocks).toHaveLength(1);
  expect(blocks[0].site ?? 'slow-till.ts').toContain('slow-till.ts');
});

test('native code that blocks is told of while it does, with the time and without a line', async () => {
  const { noticed, log } = await till('native', 8);
  expect(noticed, 'the log had the line while native code ran').toBe(true);
  // Fifty looks, one every two milliseconds.
  expect(/^event loop blocked for (\d+) ms by native code/m.exec(log)?.[1]).toBe('100');
});

test('a watchdog that was ended, or whose process stood still as a whole, says nothing', async () => {
  const stopped = till('idle', 300, async (child) => {
    child.kill('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, 900));
    child.kill('SIGCONT');
    await new Promise((resolve) => setTimeout(resolve, 100));
    child.stdin?.end('go on\n');
  });
  const [ended, idle, late] = await Promise.all([till('ended', 80), stopped, till('late', 80)]);
  expect(late.blocks, 'told after the end').toEqual([]);
  expect(ended).toEqual({ blocks: [], noticed: false, log: '' });
  expect(idle).toEqual({ blocks: [], noticed: false, log: '' });
});

test('what no watchdog can be made from is refused', () => {
  for (const thresholdMs of [0, 7, Number.NaN, 2 ** 31, untyped('80')]) {
    expect(() => watchdog({ thresholdMs })).toThrow(InvalidArgumentError);
  }
  for (const fd of [-1, 1.5, untyped('2')]) expect(() => watchdog({ fd })).toThrow(InvalidArgumentError);
  expect(() => watchdog({ onBlock: untyped('log') })).toThrow(InvalidArgumentError);
  for (const options of [{ thresholdMs: 8 }, { thresholdMs: 2 ** 31 - 1 }, { fd: 0 }, { fd: null }]) {
    expect(() => watchdog(options)[Symbol.dispose](), JSON.stringify(options)).not.toThrow();
  }
});
