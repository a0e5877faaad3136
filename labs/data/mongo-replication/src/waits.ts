import { setTimeout as sleep } from 'node:timers/promises';
import { ReplicationError } from './errors.ts';

/** Time was up before an answer came. */
export class NoAnswerError extends ReplicationError {
  constructor(ms: number) {
    super(`There was no answer within ${Math.round(ms)} ms.`);
  }
}

/** Milliseconds that a timer can hold. @throws RangeError */
export function positiveMs(name: string, ms: number): number {
  if (ms > 0 && ms < 2 ** 31) return ms;
  throw new RangeError(`${name} is ${ms}: it is a positive number of milliseconds, below 2^31.`);
}

/** The promise's end, or the signal's reason, or NoAnswerError once `ms` are over. What is late is not listened to. */
export async function endOf<T>(work: Promise<T>, ms: number, signal?: AbortSignal): Promise<T> {
  // A lazy thenable (a query of Mongoose) runs each time that it is awaited.
  const promise = Promise.resolve(work);
  promise.catch(() => {});
  const { promise: over, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal?.reason);
  const timer = setTimeout(() => reject(new NoAnswerError(ms)), ms);
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted) onAbort();
  try {
    return await Promise.race([promise, over]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 1_000;

/** A pause that grows with the attempts, by chance shorter: many clients wait for one primary. */
export function pauseAfter(attempt: number): number {
  return Math.random() * Math.min(FIRST_PAUSE_MS * 2 ** attempt, LONGEST_PAUSE_MS);
}

/** @throws the signal's reason */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await sleep(ms, undefined, signal && { signal }).catch(() => signal?.throwIfAborted());
}
