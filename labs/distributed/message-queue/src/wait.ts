import { BadArgumentError } from './errors.ts';

/** Resolves after `ms`, or at once when `signal` aborts; never rejects. */
export function elapse(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    if (signal.aborted) done();
    else signal.addEventListener('abort', done);
  });
}

/** `promise`, or the signal's reason if that comes first. Leaves no listener behind. */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  const left = Promise.withResolvers<never>();
  const leave = () => left.reject(signal.reason);
  signal.addEventListener('abort', leave);
  try {
    if (signal.aborted) leave();
    return await Promise.race([promise, left.promise]);
  } finally {
    signal.removeEventListener('abort', leave);
  }
}

/** Milliseconds before try `attempt` (from 1): 50 · 2ⁿ⁻¹, at most 5000, half of it at random. */
export const backoff = (attempt: number): number => Math.min(50 * 2 ** (attempt - 1), 5000) * (0.5 + Math.random() / 2);

/** What a timer and a field of four bytes hold. */
export const MOST = 2 ** 31 - 1;

export function checkWholeNumber(value: unknown, what: string, from: number, to: number): void {
  if (typeof value === 'number' && Number.isInteger(value) && value >= from && value <= to) return;
  throw new BadArgumentError(`${what} must be a whole number from ${from} to ${to}, not ${String(value)}`);
}

/** Names and keys: what one side would cut, or would read as another text, is refused. */
export function checkText(value: unknown, what: string, least = 1): void {
  const fits = typeof value === 'string' && Buffer.byteLength(value) >= least && Buffer.byteLength(value) <= 255;
  if (fits && value.isWellFormed() && !value.includes('\0')) return;
  const told = typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : typeof value;
  throw new BadArgumentError(
    `${what} must be a text of ${least} to 255 bytes without half characters or U+0000, not ${told}`,
  );
}

/** What a message carries: bytes, or a text that bytes can say. */
export function checkContent(value: unknown, what: string): void {
  if (value instanceof Uint8Array || (typeof value === 'string' && value.isWellFormed())) return;
  throw new BadArgumentError(`${what} must be bytes, or text without half characters, not ${typeof value}`);
}

/** Resolves when all of them have ended, whatever came of it, or after `ms`. */
export async function settledWithin(promises: Iterable<Promise<unknown>>, ms: number): Promise<void> {
  const over = new AbortController();
  await Promise.race([Promise.allSettled(promises), elapse(ms, over.signal)]);
  over.abort();
}
