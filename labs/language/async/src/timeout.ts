import { TimeoutError, UnresponsiveError } from './errors.ts';
import { isCancellation, onAbort } from './signal.ts';
import type { Task } from './task-group.ts';
import { after, assertMs, type Clock, systemClock } from './time.ts';

export interface TimeoutOptions {
  /** Aborting it stops the work as the time limit does; the call then rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** How long the work may take to stop, in milliseconds. Default 1,000; Infinity waits for ever, as asyncio does. */
  readonly graceMs?: number;
  readonly clock?: Clock;
}

/**
 * Gives `work` `ms` milliseconds; then its signal aborts, and the call waits until it has ended. Work that ends with a
 * result all the same has a result: it isn't thrown away. With 0 or less the work isn't begun.
 *
 * Source: asyncio.timeout, https://docs.python.org/3/library/asyncio-task.html#timeouts
 *
 * @throws TimeoutError when the work ended because of this limit. Another limit's error, around it or inside, passes.
 * @throws the reason of `options.signal` when it has aborted.
 * @throws UnresponsiveError when the work goes on for `graceMs` after it was told to stop, by whomever.
 * @throws InvalidArgumentError on a time that is none; else what the work throws.
 */
export async function timeout<T>(
  ms: number,
  work: Task<T>,
  { signal, graceMs = 1_000, clock = systemClock }: TimeoutOptions = {},
): Promise<T> {
  assertMs('The time limit', ms);
  assertMs('graceMs', graceMs);
  signal?.throwIfAborted();
  if (ms <= 0) throw new TimeoutError(ms);
  const controller = new AbortController();
  const unresponsive = Promise.withResolvers<never>();
  const stop = (reason: unknown) => {
    if (controller.signal.aborted) return;
    cancel();
    controller.abort(reason);
    cancel = after(clock, graceMs, () => unresponsive.reject(new UnresponsiveError(graceMs, reason)));
  };
  let cancel = after(clock, ms, () => stop(new TimeoutError(ms)));
  using _ = onAbort(signal, stop);
  try {
    const result = await Promise.race([begin(work, controller.signal), unresponsive.promise]);
    signal?.throwIfAborted();
    return result;
  } catch (error) {
    if (error instanceof UnresponsiveError) throw error;
    signal?.throwIfAborted();
    throw isCancellation(error, controller.signal) ? controller.signal.reason : error;
  } finally {
    cancel();
  }
}

async function begin<T>(work: Task<T>, signal: AbortSignal): Promise<T> {
  return work(signal);
}
