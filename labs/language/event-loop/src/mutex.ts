import { isMainThread, threadId, type Worker } from 'node:worker_threads';
import { isThenable } from './chunked.ts';
import {
  checkMs,
  DeadlockError,
  InvalidArgumentError,
  LockTimeoutError,
  OwnerDiedError,
  WrongThreadError,
} from './errors.ts';
import { sharedMemory } from './shared.ts';

export interface LockOptions {
  /** Milliseconds to wait for the mutex. Default: for ever. */
  readonly timeoutMs?: number;
}

/** What the one word says, beside "who holds it": `2 * (thread + 1)`, and 1 more when somebody may be asleep. */
const FREE = 0;
const OWNER_DIED = -1;
const SLEEPERS = 1;

/**
 * One thread at a time: `new Mutex(buffer)` in each, on the first one's buffer. Not fair: who comes at the right moment is
 * in before those who sleep.
 *
 * One word of shared memory, as in Ulrich Drepper, "Futexes Are Tricky" (2011), `mutex2`, with the owner written in it.
 */
export class Mutex {
  /** To be handed to the other threads: it is shared, not copied. */
  readonly buffer: SharedArrayBuffer;
  protected readonly word: Int32Array<SharedArrayBuffer>;
  protected readonly me: number = 2 * (threadId + 1);

  /** @throws InvalidArgumentError on a buffer that is no mutex's. */
  constructor(buffer?: SharedArrayBuffer) {
    this.buffer = sharedMemory(buffer, 4);
    this.word = new Int32Array(this.buffer);
  }

  /**
   * Calls `body` while no other thread is in, and returns its result. Blocks this thread until then: for workers only.
   * @throws WrongThreadError in the main thread; LockTimeoutError, DeadlockError, OwnerDiedError; what `body` throws.
   */
  lock<R>(body: () => R extends PromiseLike<unknown> ? never : R, { timeoutMs }: LockOptions = {}): R {
    if (isMainThread) throw new WrongThreadError('lock() would freeze the main thread: use lockAsync().');
    const deadline = deadlineOf(timeoutMs);
    for (let seen = this.take(this.me); seen !== FREE; seen = this.take(this.me | SLEEPERS)) {
      if ((seen & ~SLEEPERS) === this.me) throw new DeadlockError('This thread holds the mutex that it waits for.');
      const value = this.announce(seen);
      if (value === undefined) continue;
      if (Atomics.wait(this.word, 0, value, left(deadline)) === 'timed-out') throw timedOut(timeoutMs);
    }
    try {
      const result: R = body();
      if (isThenable(result))
        throw new InvalidArgumentError('body returned a promise: the lock is free before it ends.');
      return result;
    } finally {
      this.release();
    }
  }

  /**
   * The same for the main thread, whose event loop goes on meanwhile. `body` may be async, and the lock is held until it
   * has ended; one that asks for the same lock again waits for itself.
   * @throws LockTimeoutError, OwnerDiedError; what `body` throws.
   */
  async lockAsync<R>(body: () => R, { timeoutMs }: LockOptions = {}): Promise<Awaited<R>> {
    const deadline = deadlineOf(timeoutMs);
    for (let seen = this.take(this.me); seen !== FREE; seen = this.take(this.me | SLEEPERS)) {
      const value = this.announce(seen);
      if (value === undefined) continue;
      const { value: woken } = Atomics.waitAsync(this.word, 0, value, left(deadline));
      // A pending waitAsync doesn't keep the process alive. (https://github.com/nodejs/node/issues/61941)
      const awake = setInterval(() => {}, 60_000);
      const how = await woken;
      clearInterval(awake);
      if (how === 'timed-out') throw timedOut(timeoutMs);
    }
    try {
      return await body();
    } finally {
      this.release();
    }
  }

  /** From now on, when `worker` ends while it holds the mutex, everybody else is told by an OwnerDiedError. */
  watch(worker: Worker): void {
    const owner = 2 * (worker.threadId + 1);
    if (owner <= 0) throw new InvalidArgumentError('The worker has ended already: watch it as soon as it is made.');
    worker.once('exit', () => {
      for (let seen = Atomics.load(this.word, 0); (seen & ~SLEEPERS) === owner; seen = Atomics.load(this.word, 0)) {
        Atomics.compareExchange(this.word, 0, seen, OWNER_DIED);
      }
      // Even when it was not the owner: it may have been the one that was woken, and the others would sleep for ever.
      Atomics.notify(this.word, 0);
    });
  }

  /**
   * Frees the mutex of a dead owner, once you have put in order what it guards; until then everybody is refused.
   * @returns whether there was a dead owner
   */
  repair(): boolean {
    return Atomics.compareExchange(this.word, 0, OWNER_DIED, FREE) === OWNER_DIED;
  }

  /** Writes `as` if the mutex is free. Returns what was there: FREE means that it is ours. */
  protected take(as: number): number {
    const seen = Atomics.compareExchange(this.word, 0, FREE, as);
    if (seen === OWNER_DIED)
      throw new OwnerDiedError('The thread that held the mutex has died: look at the data, then repair().');
    return seen;
  }

  /** Makes the owner know that somebody sleeps. Returns the word to sleep on; undefined when it has changed meanwhile. */
  protected announce(seen: number): number | undefined {
    const value = seen | SLEEPERS;
    return Atomics.compareExchange(this.word, 0, seen, value) === seen ? value : undefined;
  }

  /** Frees the mutex, then wakes one of those who sleep. */
  protected release(): void {
    if (Atomics.exchange(this.word, 0, FREE) & SLEEPERS) Atomics.notify(this.word, 0, 1);
  }
}

const deadlineOf = (timeoutMs: number | undefined) =>
  timeoutMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + checkMs('timeoutMs', timeoutMs, 0);
const left = (deadline: number) => Math.max(0, deadline - performance.now());
const timedOut = (timeoutMs: number | undefined) =>
  new LockTimeoutError(`The mutex was not free within ${timeoutMs} ms.`);
