import type { Clock } from './clock.ts';

/** What a policy runs. It is given a signal of its own: hand it on to `fetch`, a query, a timer, so that they end too. */
export type Call<T> = (signal: AbortSignal) => T | PromiseLike<T>;

/** Runs calls under some rule: a circuit breaker, a bulkhead, a retry, or several of them composed. */
export interface Policy {
  /** Aborting `signal` ends this call, and no other: the promise rejects with the signal's reason at once. */
  run<T>(call: Call<T>, options?: { readonly signal?: AbortSignal | undefined }): Promise<T>;
}

export interface TimeLimit {
  readonly clock: Clock;
  /** The error for a call that took longer than `ms`: what its caller gets, and the reason of its signal. */
  timeoutError(ms: number): Error;
}

/** The outcome of `call` as a promise, also of one that throws or answers at once. */
export function promised<T>(call: () => T | PromiseLike<T>): Promise<T> {
  try {
    return Promise.resolve(call());
  } catch (error) {
    return Promise.reject(error);
  }
}

/**
 * Runs `call` until it settles, the limit has passed or `signal` aborts, whichever is first. In the latter two cases the
 * promise rejects at once and the call's own signal aborts: waiting for a call that ignores its signal would be to hang
 * with it. Leaves no timer and no listener behind.
 */
export function runCancellable<T>(
  call: Call<T>,
  signal: AbortSignal | undefined,
  ms: number = Number.POSITIVE_INFINITY,
  limit?: TimeLimit,
): Promise<T> {
  if (signal?.aborted) return Promise.reject(signal.reason);
  const controller = new AbortController();
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const stop = (reason: unknown) => {
    // First the verdict, then the abort: else the call's own AbortError would be the one that the caller sees.
    reject(reason);
    controller.abort(reason);
  };
  const onAbort = () => stop(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  const expire = (passed: TimeLimit) => {
    // Made in a reaction that leads to `promise`, for the same stack as below: a timer knows nobody who called.
    const expired = Promise.resolve().then(() => {
      stop(passed.timeoutError(ms));
      return promise;
    });
    expired.then(resolve, reject);
  };
  const cancel = limit && ms < Number.POSITIVE_INFINITY ? limit.clock.after(ms, () => expire(limit)) : undefined;
  const end = () => {
    cancel?.();
    signal?.removeEventListener('abort', onAbort);
  };
  // One chain, with no handler of ours between the call and `promise`: V8 follows it when an error is made, so that its
  // stack goes on with the caller ("at async …").
  promised(() => call(controller.signal)).then(resolve, reject);
  return promise.then(
    (value) => {
      end();
      return value;
    },
    () => {
      end();
      return promise;
    },
  );
}
