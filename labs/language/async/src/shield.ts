import { onAbort } from './signal.ts';

export interface ShieldOptions<T> {
  /** When it aborts, the caller leaves. */
  readonly signal: AbortSignal;
  /** Told how the work ended when the caller had left: a charge that went through, or failed, must not go unnoticed. */
  readonly late: (outcome: PromiseSettledResult<T>) => void;
}

/**
 * Waits for work that must not be cancelled: when `signal` aborts, the caller leaves with its reason, and the work goes
 * on to its end. To stay and wait as well, await the work itself: what isn't given the signal isn't cancelled by it.
 *
 * Source: asyncio.shield, https://docs.python.org/3/library/asyncio-task.html#shielding-from-cancellation
 */
export function shield<T>(work: PromiseLike<T>, { signal, late }: ShieldOptions<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    let left = false;
    const listening = onAbort(signal, (reason) => {
      left = true;
      reject(reason);
    });
    const settle = (outcome: PromiseSettledResult<T>) => {
      listening[Symbol.dispose]();
      if (left) late(outcome);
      else if (outcome.status === 'fulfilled') resolve(outcome.value);
      else reject(outcome.reason);
    };
    // Not a chain: what `late` throws is a bug of its own and must be seen.
    Promise.resolve(work).then(
      (value) => settle({ status: 'fulfilled', value }),
      (reason: unknown) => settle({ status: 'rejected', reason }),
    );
  });
}
