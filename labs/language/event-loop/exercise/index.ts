import { createHistogram } from 'node:perf_hooks';
import { isMainThread, threadId, type Worker } from 'node:worker_threads';
import { isThenable } from '../src/chunked.ts';
import { checkMs } from '../src/errors.ts';
import {
  type ChunkedOptions,
  type Delay,
  type DelayMeasure,
  type FunctionName,
  type Input,
  InvalidArgumentError,
  type LockOptions,
  LockTimeoutError,
  type OffloadOptions,
  type Output,
  ThreadEndedError,
  type WatchdogOptions,
  WrongThreadError,
} from '../src/index.ts';
import { Mutex as GivenMutex } from '../src/mutex.ts';
import { startThread, type Task } from '../src/offload.ts';
import { SharedCounter as GivenCounter } from '../src/shared-counter.ts';
import { checkWatchdog, look, startWatching } from '../src/watchdog.ts';

// Given: the errors, the checks, the ring buffer, the far ends of the threads (src/offload-thread.ts and
// src/watchdog-thread.ts), and of the mutex all but its heart. Each error takes a message. `h` in
// `pnpm lab learn event-loop` helps.
export type {
  Block,
  ChunkedOptions,
  Delay,
  DelayMeasure,
  FunctionName,
  Input,
  LockOptions,
  OffloadOptions,
  Output,
  WatchdogOptions,
} from '../src/index.ts';
export {
  CounterRangeError,
  DeadlockError,
  EventLoopError,
  InvalidArgumentError,
  LockTimeoutError,
  OwnerDiedError,
  RingBuffer,
  ThreadEndedError,
  WrongThreadError,
} from '../src/index.ts';

/**
 * Resolves in a later turn of the event loop: I/O and timers that are due have had theirs.
 *
 * Later: callers form a line, one a turn, so that ten jobs in slices delay the others by one slice, not by ten.
 */
export async function nextTurn(): Promise<void> {
  todo('nextTurn');
}

/**
 * `Array.from(items, fn)` that lets everybody else have a turn (`nextTurn`) after each `budgetMs` of work.
 *
 * Later: the first slice has a turn of its own too; it stops before a slice with the signal's reason
 * (`signal?.throwIfAborted()`), and refuses an `fn` that returns a promise (`isThenable`, InvalidArgumentError).
 */
export async function chunked<T, R>(
  _items: Iterable<T>,
  _fn: (item: T, index: number) => R extends PromiseLike<unknown> ? never : R,
  { budgetMs = 10, signal }: ChunkedOptions = {},
): Promise<R[]> {
  checkMs('budgetMs', budgetMs, Number.MIN_VALUE);
  void [signal, isThenable, InvalidArgumentError];
  return todo('chunked');
}

/**
 * How late the loop serves who comes every `resolutionMs`: one caller after `resolutionMs`, the next after twice that, and
 * so on, whether the loop turns or not. Each one's delay goes into the histogram.
 *
 * Given is `Delays`: `record(ms)`, and `result()` with what `stop()` returns.
 */
export function measureDelay({ resolutionMs = 10 }: { readonly resolutionMs?: number } = {}): DelayMeasure {
  checkMs('resolutionMs', resolutionMs, 1);
  const delays = new Delays();
  const stop = (): Delay => delays.result();
  return { stop, [Symbol.dispose]: () => void stop() };
}

class Delays {
  readonly #microseconds = createHistogram();
  #samples = 0;

  record(ms: number): void {
    this.#microseconds.record(Math.max(1, Math.round(ms * 1_000)));
    this.#samples++;
  }

  result(): Delay {
    const samples = this.#samples;
    const at = (percentile: number) => (samples ? this.#microseconds.percentile(percentile) / 1_000 : Number.NaN);
    return { p50: at(50), p99: at(99), max: samples ? this.#microseconds.max / 1_000 : Number.NaN, samples };
  }
}

/** The exported functions of a module, to be called in a thread of their own. The signature is given. */
export function offload<T extends object>(module: URL) {
  if (!(module instanceof URL)) throw new InvalidArgumentError(`module must be a URL; it is ${module}.`);
  return <K extends FunctionName<T>>(name: K, input: Input<T, K>, options: OffloadOptions = {}) =>
    call<Output<T, K>>({ module: module.href, name, input }, options);
}

/**
 * `startThread(task, transfer)` is given: a worker whose 'message' is the result, whose 'error' is what was thrown, and
 * which then exits. `resolve` takes the message as an R.
 *
 * Later: 'exit' without a result is a ThreadEndedError; an aborted signal ends the thread with its reason; whatever has
 * happened, no thread is left behind (`worker.terminate()`), and no listener on the signal.
 */
function call<R>(_task: Task, { signal, transfer = [] }: OffloadOptions): Promise<R> {
  void [startThread, signal, transfer, ThreadEndedError];
  return todo('offload');
}

/** A number that many threads count up and down at once. `this.words[0]`, of 32 bits, is in all of them. */
export class SharedCounter extends GivenCounter {
  /**
   * Adds in one step that no other thread can come between, and returns the value afterwards.
   *
   * Later: see `add` in src/shared-counter.ts for what is refused.
   */
  override add(_by = 1): number {
    return todo('SharedCounter.add');
  }
}

const FREE = 0;
const SLEEPERS = 1;

/**
 * One thread at a time. What the one word says: FREE, or who holds it (`this.me`, an even number), plus SLEEPERS when
 * somebody may be asleep. Given: `lockAsync`, `watch` and `repair`, which go by your three small steps.
 */
export class Mutex extends GivenMutex {
  /**
   * Calls `body` while no other thread is in, and frees the mutex whatever happens. While it isn't free: `announce`, then
   * sleep on the word (`Atomics.wait(this.word, 0, value, ms)`) until somebody wakes us, and try again. Whom nobody wakes
   * gets `'timed-out'`.
   *
   * `this.me` is no other thread's. Who has slept takes the mutex as `this.me | SLEEPERS`: why?
   * @throws LockTimeoutError after `timeoutMs`. Later: DeadlockError, and a `body` that returns a promise is refused.
   */
  override lock<R>(
    _body: () => R extends PromiseLike<unknown> ? never : R,
    { timeoutMs = 2 ** 31 - 1 }: LockOptions = {},
  ): R {
    if (isMainThread) throw new WrongThreadError(`lock() would freeze the main thread (${threadId}): use lockAsync().`);
    checkMs('timeoutMs', timeoutMs, 0);
    void LockTimeoutError;
    return todo('Mutex.lock');
  }

  /** Writes `as` if the mutex is free, in one step. Returns what was there: FREE means that it is ours. Later: OwnerDiedError. */
  protected override take(_as: number): number {
    return todo(`Mutex.take, which compares with ${FREE}`);
  }

  /** Writes `seen | SLEEPERS` if the word is still `seen`. Returns what to sleep on; undefined when it has changed. */
  protected override announce(_seen: number): number | undefined {
    return todo(`Mutex.announce, which adds ${SLEEPERS}`);
  }

  /** Frees the mutex in one step that says what was there; if somebody may sleep, wakes one (`Atomics.notify`). */
  protected override release(): void {
    todo('Mutex.release');
  }
}

/**
 * Watches the main thread's loop from a thread of its own, which `startWatching` starts and which is given: it looks every
 * `thresholdMs / 4`, and when `beats[0]` has not changed in five looks, it calls `globalThis[Symbol.for(key)]()` through
 * the inspector, on top of what blocks, writes to `fd` and posts a `Block`.
 *
 * Yours is this side: the heart that beats in the loop, the function that is called (`look(last)`, with when the heart
 * last beat), `onBlock` for each 'message' of the thread, and that neither heart nor thread holds the process
 * (`unref`, after all else).
 */
export function watchdog(options: WatchdogOptions = {}): Disposable {
  const { thresholdMs, fd, onBlock } = checkWatchdog(options);
  const key = `event-loop.attempt.${performance.now()}`;
  const beats = new Int32Array(new SharedArrayBuffer(4));
  const last = performance.now();
  Reflect.set(globalThis, Symbol.for(key), () => look(last));
  const start = (): Worker => startWatching({ key, beats, thresholdMs, fd });
  void [start, onBlock];
  return todo('watchdog');
}

function todo(what: string): never {
  throw new Error(`${what} is not written yet: its comment in attempt/index.ts is the task.`);
}
