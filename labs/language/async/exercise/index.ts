import {
  ChannelClosedError,
  type MapBoundedOptions,
  type Source,
  type Task,
  type TaskGroup,
  type TaskGroupOptions,
  type TimeoutOptions,
  type WaitOptions,
} from '../src/index.ts';
import { Line } from '../src/line.ts';
import { wholeNumber } from '../src/options.ts';

// The words of the subject are given: errors, options, the clock, `sleep`, `shield`, and what waits in a simpler way
// (`Event`, `Condition`, `Barrier`). These tools of src/ are for you to import:
//   src/signal.ts       onAbort(signal, then): Disposable    hears of an abort, until it is disposed of
//                       isCancellation(error, signal)        whether an error only repeats the abort
//   src/line.ts         Line: join(brought, signal) waits; next() takes the first out, to serve() or dismiss() him
//   src/time.ts         after(clock, ms, callback) returns its cancel; assertMs(what, ms); systemClock
//   src/source.ts       read(source, places, signal): { value, place }, one by one, each when a place is free
// Errors: CancelledError(message, { cause }), TaskGroupError(errors), TimeoutError(ms), UnresponsiveError(graceMs, cause),
// GroupClosedError(message). What speaks of `options.signal`, and of refused numbers, is for the hardening laws.
// Begin with `taskGroup`. `h` in `pnpm lab learn async` gives a hint.
export {
  AsyncError,
  Barrier,
  CancelledError,
  ChannelClosedError,
  type Clock,
  Condition,
  Event,
  GroupClosedError,
  type HeldCondition,
  InvalidArgumentError,
  LockNotHeldError,
  type MapBoundedOptions,
  type ShieldOptions,
  type SleepOptions,
  type Source,
  shield,
  sleep,
  type Task,
  type TaskGroup,
  TaskGroupError,
  type TaskGroupOptions,
  TimeoutError,
  type TimeoutOptions,
  UnresponsiveError,
  type WaitOptions,
} from '../src/index.ts';

/**
 * Tasks that end together: resolves with the result of `body` when it and every task spawned in the group have ended.
 *
 * 1. `group.spawn(task)` calls `task(group.signal)` at once. The body is a task as well: count those that run.
 * 2. The first failure aborts `group.signal` with a `CancelledError` whose `cause` is the failure.
 * 3. When nothing runs any more: the result of the body, or a `TaskGroupError` with every failure, once, in order.
 *    What only says that the group was aborted is no failure.
 *
 * @throws the reason of `options.signal` when it has aborted, whatever else has happened.
 * @throws TaskGroupError with every failure. `spawn` throws GroupClosedError when the group has ended, and the signal's
 *   reason when it has aborted.
 */
export function taskGroup<T>(
  _body: (group: TaskGroup) => T | PromiseLike<T>,
  _options: TaskGroupOptions = {},
): Promise<T> {
  return todo('taskGroup');
}

/**
 * Gives `work` `ms` milliseconds; then its signal aborts with a `TimeoutError`, and the call waits until the work has
 * ended, but not longer than `graceMs` (default 1,000). `options.clock` has the time.
 *
 * @throws TimeoutError when the work ended because of this limit; of work that ends otherwise, its result or its error.
 *   With 0 ms or less it is thrown at once, and the work isn't begun.
 * @throws UnresponsiveError when the grace is over; its `cause` is the reason that the work's signal gave.
 * @throws the reason of `options.signal` when it has aborted: it stops the work as the limit does.
 * @throws InvalidArgumentError on a time that is none.
 */
export function timeout<T>(_ms: number, _work: Task<T>, _options: TimeoutOptions = {}): Promise<T> {
  return todo('timeout');
}

/** At most `permits` holders at once, in the order of their arrival. */
export class Semaphore {
  protected readonly line = new Line();
  #free: number;

  /** @throws InvalidArgumentError on what is no whole number of permits, 1 or more. */
  constructor(permits: number) {
    this.#free = wholeNumber('The number of permits', permits);
  }

  /** Permits that nobody holds. */
  get free(): number {
    return this.#free;
  }

  /** How many wait for a permit. */
  get waiting(): number {
    return this.line.length;
  }

  /**
   * A permit; disposing of it gives it back, a second time changes nothing. One that comes back goes to the first in line.
   * @throws the signal's reason.
   */
  acquire(_options: WaitOptions = {}): Promise<Disposable> {
    return todo('acquire');
  }
}

/** One holder at a time. */
export class Lock extends Semaphore {
  constructor() {
    super(1);
  }

  get locked(): boolean {
    return this.free === 0;
  }
}

/** A shelf between producers and consumers with room for `capacity` values: who is faster waits for the other. */
export class Channel<T> implements AsyncIterable<T, void, void> {
  protected readonly capacity: number;
  protected readonly shelf: { readonly brought: T }[] = [];
  /** Who waits for a value. */
  protected readonly getters = new Line<T>();
  /** Who waits for room, with the value that he has brought. */
  protected readonly putters = new Line<void, T>();
  protected closed = false;

  /** @throws InvalidArgumentError on what is no whole number of places, 1 or more. */
  constructor(capacity: number) {
    this.capacity = wholeNumber('The capacity', capacity);
  }

  /** Values on the shelf. */
  get size(): number {
    return this.shelf.length;
  }

  /**
   * Resolves when the value is on the shelf, or in the hands of somebody who waited for it.
   * @throws ChannelClosedError, or the signal's reason: then the value isn't and never will be.
   */
  put(_value: T, _options: WaitOptions = {}): Promise<void> {
    return todo('put');
  }

  /** The next value. @throws ChannelClosedError when it is closed and empty; the signal's reason: then no value is lost. */
  get(_options: WaitOptions = {}): Promise<T> {
    return todo('get');
  }

  /** Given: wakes all who wait with a ChannelClosedError. */
  close(immediate = false): void {
    this.closed = true;
    if (immediate) this.shelf.length = 0;
    for (const line of [this.putters, this.getters]) {
      for (let next = line.next(); next; next = line.next()) next.dismiss(new ChannelClosedError('It is closed.'));
    }
  }

  /** Given: gets until the channel is closed and empty. */
  [Symbol.asyncIterator](): AsyncIterator<T, void, void> {
    const leaving = new AbortController();
    const done: IteratorReturnResult<void> = { done: true, value: undefined };
    const next = () => this.get({ signal: leaving.signal }).then((value) => ({ done: false as const, value }));
    return {
      next: () =>
        next().catch((error: unknown) => (leaving.signal.aborted || this.closed ? done : Promise.reject(error))),
      return: async () => {
        leaving.abort();
        return done;
      },
    };
  }
}

/**
 * Calls `fn` for each value of `source`, at most `limit` at once, and gives the results. The source is read no further
 * than `limit` values ahead of what the consumer has taken: a place is free again when its result is handed over.
 *
 * Made from what you have: a `Semaphore` of places, a `Channel` of results, a `taskGroup` that reads the source and
 * spawns the calls, and a loop that takes the results from the channel.
 *
 * @throws TaskGroupError as `taskGroup` does; the signal's reason; InvalidArgumentError on a limit that is none.
 */
export async function* mapBounded<In, Out>(
  _source: Source<In>,
  _limit: number,
  _fn: (value: In, signal: AbortSignal) => Out | PromiseLike<Out>,
  _options: MapBoundedOptions = {},
): AsyncGenerator<Out, void, void> {
  yield await todo('mapBounded');
}

async function todo(name: string): Promise<never> {
  throw new Error(`${name} is not written yet: its comment in attempt/index.ts is the task.`);
}
