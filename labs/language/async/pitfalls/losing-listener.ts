// Flaw: the abort listener that lost the race stays on the signal, one more for each call, as long as the signal lives.
// Seen in: https://github.com/sindresorhus/p-retry/issues/71
// Caught by: a long-lived signal keeps no listener after ten thousand operations
import type { ShieldOptions } from '../src/index.ts';

export * from '../src/index.ts';

export function shield<T>(work: PromiseLike<T>, { signal }: ShieldOptions<T>): Promise<T> {
  const left = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  return Promise.race([work, left]);
}
