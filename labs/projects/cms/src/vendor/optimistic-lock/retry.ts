import { setTimeout as delay } from 'node:timers/promises';
import { DatabaseError } from 'pg';
import { milliseconds } from './connection.ts';
import { InvalidArgumentError, RetriesExhaustedError, StaleVersionError } from './errors.ts';

export interface RetryOptions {
  /** Attempts in all. Default 10. */
  readonly max?: number;
  /** The longest pause after the first attempt, in milliseconds; it doubles with each. Default 5. */
  readonly baseMs?: number;
  /** The longest pause of all, in milliseconds. Default 500. */
  readonly capMs?: number;
  /** Ends the pauses, and lets no further attempt begin; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** From 0 to below 1. Default `Math.random`. */
  readonly random?: () => number;
  /** Default: a timer. */
  readonly sleep?: (ms: number, signal?: AbortSignal) => Promise<unknown>;
}

/**
 * Runs the whole of `run` again while it meets other writers (`isConflict`), after a pause with full jitter: a random part of
 * `baseMs` · 2ⁿ, at most `capMs`. All else that it throws passes at once.
 *
 * What `run` does outside of the database it does in each attempt: send the mail after it, and not inside.
 *
 * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 * @throws RetriesExhaustedError after `max` attempts, with the last conflict as its cause; the signal's reason; what `run` throws
 */
export async function withRetry<T>(
  run: (attempt: number) => Promise<T>,
  { max = 10, baseMs = 5, capMs = 500, signal, random = Math.random, sleep = pause }: RetryOptions = {},
): Promise<T> {
  if (!Number.isSafeInteger(max) || max < 1) throw new InvalidArgumentError(`max is ${max}: give 1 attempt or more.`);
  milliseconds('baseMs', baseMs);
  milliseconds('capMs', capMs);
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted();
    try {
      return await run(attempt);
    } catch (error) {
      if (!isConflict(error)) throw error;
      signal?.throwIfAborted();
      if (attempt >= max) throw new RetriesExhaustedError(attempt, error);
    }
    await sleep(random() * Math.min(capMs, baseMs * 2 ** Math.min(attempt - 1, 31)), signal);
  }
}

/**
 * Whether another attempt may do better: a stale version, a serialisation failure (40001), a deadlock (40P01). By class and
 * SQLSTATE, since an error's text is for people.
 *
 * @see https://www.postgresql.org/docs/current/mvcc-serialization-failure-handling.html
 */
export function isConflict(error: unknown): boolean {
  if (error instanceof StaleVersionError) return true;
  return error instanceof DatabaseError && (error.code === '40001' || error.code === '40P01');
}

async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  // It rejects with an error of its own: the reason is the caller's.
  await delay(ms, undefined, signal && { signal }).catch(() => signal?.throwIfAborted());
}
