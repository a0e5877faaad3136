// What the threads of the laws do. Each imports the lab of its own.
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '@shared/testkit';
import { CounterRangeError, Mutex, RingBuffer, SharedCounter } from '#lab';

/**
 * All threads wait here for each other, for they start tens of milliseconds apart, and who works alone loses nothing.
 * Word 0: how many are here; word 1: "enough"; word 2: how often one saw that another had been in between.
 */
export interface Race {
  readonly race: SharedArrayBuffer;
  readonly threads: number;
}

/** The main thread's end: all of `threads` run at once for `ms`, and until they came between each other so often. */
export function newRace(threads: number): { race: Race; run(ms: number, meetings?: number): Promise<void> } {
  const words = new Int32Array(new SharedArrayBuffer(12));
  return {
    race: { race: words.buffer, threads },
    async run(ms, meetings = 0) {
      await until(() => Atomics.load(words, 0) === threads, { what: `${threads} threads at the start` });
      await delay(ms);
      await until(() => Atomics.load(words, 2) >= meetings, { timeoutMs: 10_000, what: `${meetings} meetings` });
      Atomics.store(words, 1, 1);
    },
  };
}

function begin({ race, threads }: Race): { over(): boolean; meet(): void } {
  const words = new Int32Array(race);
  if (Atomics.add(words, 0, 1) + 1 === threads) Atomics.notify(words, 0);
  for (let here = Atomics.load(words, 0); here < threads; here = Atomics.load(words, 0)) {
    Atomics.wait(words, 0, here, 1_000);
  }
  return { over: () => Atomics.load(words, 1) !== 0, meet: () => void Atomics.add(words, 2, 1) };
}

/** Spins, so that the thread is not put to sleep, but never for ever. */
export function spinUntil(condition: () => boolean, ms = 3_000): void {
  const end = performance.now() + ms;
  while (!condition() && performance.now() < end);
}

export const burn = (ms: number): number => {
  const end = performance.now() + ms;
  while (performance.now() < end);
  return ms;
};

/** Counts up until it is enough, and says how often. */
export function countUp({ counter, ...race }: Race & { counter: SharedArrayBuffer }): number {
  const shared = new SharedCounter(counter);
  const { over, meet } = begin(race);
  let times = 0;
  for (let last = shared.value; !over(); ) {
    for (let turn = 0; turn < 500; turn++, times++) {
      const now = shared.add();
      if (now !== last + 1) meet();
      last = now;
    }
  }
  return times;
}

/** Tries to count beyond the end, and says how often it could. */
export function countBeyond({ counter, ...race }: Race & { counter: SharedArrayBuffer }): number {
  const shared = new SharedCounter(counter);
  const { over } = begin(race);
  let times = 0;
  while (!over()) {
    try {
      shared.add();
      times++;
    } catch (error) {
      if (!(error instanceof CounterRangeError)) throw error;
    }
  }
  return times;
}

/** Counts up a plain number in a lock, and says how often. */
export function countLocked({
  mutex,
  plain,
  ...race
}: Race & { mutex: SharedArrayBuffer; plain: SharedArrayBuffer }): number {
  const lock = new Mutex(mutex);
  const number = new Int32Array(plain);
  const nobody = new Int32Array(new SharedArrayBuffer(4));
  const { over } = begin(race);
  let times = 0;
  for (; !over(); times++) {
    lock.lock(
      () => {
        const seen = number[0] ?? 0;
        // Put aside in the middle, every other time: whoever can come in does.
        if (times % 2 === 0) Atomics.wait(nobody, 0, 0, 0.1);
        number[0] = seen + 1;
      },
      { timeoutMs: 3_000 },
    );
  }
  return times;
}

/** Word 0: threads that are about to lock; word 1: who is in; word 2: "leave". */
export interface Door {
  readonly mutex: SharedArrayBuffer;
  readonly door: SharedArrayBuffer;
}

/** Locks, says so, and stays until it is told to leave. */
export function stay({ mutex, door }: Door): void {
  const words = new Int32Array(door);
  new Mutex(mutex).lock(() => {
    Atomics.add(words, 1, 1);
    while (Atomics.load(words, 2) === 0) Atomics.wait(words, 2, 0, 1_000);
  });
}

/** Says that it comes, and locks for a moment: when `together` have come, for they start far apart on a busy machine. */
export function comeIn({
  mutex,
  door,
  timeoutMs,
  together = 1,
}: Door & { timeoutMs: number; together?: number }): string {
  const words = new Int32Array(door);
  Atomics.add(words, 0, 1);
  Atomics.notify(words, 0);
  for (let here = Atomics.load(words, 0); here < together; here = Atomics.load(words, 0)) {
    Atomics.wait(words, 0, here, 1_000);
  }
  return new Mutex(mutex).lock(() => `in, with ${Atomics.add(words, 1, 1)} before`, { timeoutMs });
}

export function lockTwice({ mutex }: Door): string {
  const lock = new Mutex(mutex);
  return lock.lock(() => lock.lock(() => 'in twice', { timeoutMs: 500 }));
}

export function throwInside({ mutex }: Door): void {
  new Mutex(mutex).lock(() => {
    throw new RangeError('inside');
  });
}

export function lockAround(mutex: SharedArrayBuffer): void {
  // What untyped code may do.
  const later: () => number = Object(async () => 1);
  new Mutex(mutex).lock(later);
}

/** Sleeps until somebody else's event loop wakes it. */
export function waitForTimer(bell: SharedArrayBuffer): string {
  return Atomics.wait(new Int32Array(bell), 0, 0, 1_000);
}

export function fail(film: number): never {
  throw Object.assign(new RangeError(`no ${film}`, { cause: new TypeError('why') }), { code: 'E_NO' });
}

export const leave = (code: number): never => process.exit(code);
export const size = (bytes: Uint8Array): number => bytes.byteLength;
export const uncloneable = (): unknown => () => 1;
export const late = async (value: number): Promise<number> => value + 1;

export function countForEver(counter: SharedArrayBuffer): void {
  for (const words = new Int32Array(counter); ; ) Atomics.add(words, 0, 1);
}

export function put({ ring, count }: { ring: SharedArrayBuffer; count: number }): void {
  const belt = new RingBuffer(ring);
  for (let value = 0; value < count; value++) spinUntil(() => belt.push(value));
}

/** As countUp, on a plain number: a read, an addition, a write. */
export function countPlain({ counter, ...race }: Race & { counter: SharedArrayBuffer }): number {
  const number = new Int32Array(counter);
  const { over } = begin(race);
  let times = 0;
  while (!over()) {
    for (let turn = 0; turn < 500; turn++, times++) number[0] = (number[0] ?? 0) + 1;
  }
  return times;
}
