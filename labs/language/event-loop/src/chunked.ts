import { checkMs, InvalidArgumentError } from './errors.ts';

let lastTurn: Promise<void> = Promise.resolve();

/**
 * Resolves in a later turn of the event loop: I/O and timers that are due have had theirs. Callers form a line, one a
 * turn, so that ten jobs in slices delay the others by one slice, not by ten.
 *
 * `await null` and `process.nextTick` are no turn: both queues are emptied before the loop goes on.
 * (https://nodejs.org/learn/asynchronous-work/event-loop-timers-and-nexttick)
 */
export function nextTurn(): Promise<void> {
  lastTurn = lastTurn.then(() => new Promise((resolve) => setImmediate(resolve)));
  return lastTurn;
}

export interface ChunkedOptions {
  /** Milliseconds of work between two turns of the loop. One item may take longer: it is never cut. Default 10. */
  readonly budgetMs?: number;
  /** Looked at before each slice. */
  readonly signal?: AbortSignal;
}

/**
 * `Array.from(items, fn)` that lets everybody else have a turn after each `budgetMs` of work.
 * @returns the results in the order of the items
 * @throws the signal's reason, or what `items` or `fn` throws: in each case `items` is closed.
 * @throws InvalidArgumentError for a budget that is no positive number, `items` that can't be iterated (or only by
 * `for await`), or an `fn` that is no function or returns a promise.
 */
export async function chunked<T, R>(
  items: Iterable<T>,
  fn: (item: T, index: number) => R extends PromiseLike<unknown> ? never : R,
  { budgetMs = 10, signal }: ChunkedOptions = {},
): Promise<R[]> {
  checkMs('budgetMs', budgetMs, Number.MIN_VALUE);
  if (typeof Object(items)[Symbol.iterator] !== 'function' || typeof fn !== 'function') {
    throw new InvalidArgumentError('chunked takes an iterable that is not async, and a function.');
  }
  const results: R[] = [];
  signal?.throwIfAborted();
  // The caller's turn is somebody else's: our first slice has one of its own.
  await nextTurn();
  signal?.throwIfAborted();
  let end = performance.now() + budgetMs;
  // `for … of` closes the iterator when its body throws.
  for (const item of items) {
    if (performance.now() >= end) {
      await nextTurn();
      signal?.throwIfAborted();
      end = performance.now() + budgetMs;
    }
    const result: R = fn(item, results.length);
    if (isThenable(result)) throw new InvalidArgumentError('fn returned a promise: chunked is for work that computes.');
    results.push(result);
  }
  return results;
}

/** Who refuses a promise is the one that nobody else waits for: its rejection must not end the process. */
export function isThenable(value: unknown): boolean {
  const thenable = typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
  if (value instanceof Promise) value.catch(() => {});
  return thenable;
}
