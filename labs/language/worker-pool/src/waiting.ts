import { WaitTimeoutError } from './errors.ts';
import type { FutureState } from './future.ts';
import { checkTimeout } from './options.ts';

/** What is asked of a future here. */
export interface Awaitable {
  readonly state: FutureState;
  readonly done: boolean;
  onDone(callback: () => unknown): () => void;
}

/**
 * The futures in the order in which they are done, those that failed or were cancelled too: each once.
 * They come as `{ future }`: an async iterator (and the compiler) would await a future that comes bare.
 *
 * `timeoutMs` counts from this call. Those that are done by then still come; then it throws WaitTimeoutError.
 * @throws InvalidArgumentError on a timeout that no timer can keep.
 */
export function asCompleted<F extends Awaitable>(
  futures: Iterable<F>,
  { timeoutMs }: { readonly timeoutMs?: number } = {},
): AsyncGenerator<{ future: F }, void, undefined> {
  let ready: F[] = [];
  const left = new Set(futures);
  let expired = false;
  let news = Promise.withResolvers<void>();
  const stop = watch(left, timeoutMs, (future) => {
    if (future) ready.push(future);
    else expired = true;
    news.resolve();
  });
  return (async function* () {
    try {
      while (left.size > 0) {
        if (ready.length > 0) {
          const came = ready;
          ready = [];
          for (const future of came) {
            left.delete(future);
            yield { future };
          }
        } else if (expired) {
          throw new WaitTimeoutError(`${left.size} futures are not done after ${timeoutMs} ms.`);
        } else {
          news = Promise.withResolvers();
          await news.promise;
        }
      }
    } finally {
      stop();
    }
  })();
}

/**
 * Waits until all futures are done, or the first is, or the first has failed (`firstError`; if none does: all).
 * At the end of `timeoutMs` it resolves with what is done by then. Never rejects because a future did.
 * @throws InvalidArgumentError on a timeout that no timer can keep.
 */
export function wait<F extends Awaitable>(
  futures: Iterable<F>,
  options: { readonly returnWhen?: 'all' | 'first' | 'firstError'; readonly timeoutMs?: number } = {},
): Promise<{ done: Set<F>; pending: Set<F> }> {
  const { returnWhen = 'all', timeoutMs } = options;
  const [pending, done] = [new Set(futures), new Set<F>()];
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop = watch([...pending], timeoutMs, (future) => {
    if (future && pending.delete(future)) done.add(future);
    const first = returnWhen === 'first' || (returnWhen === 'firstError' && future?.state === 'failed');
    if (first || !future || pending.size === 0) resolve();
  });
  if (pending.size === 0) resolve();
  return promise.then(() => {
    stop();
    return { done, pending };
  });
}

/** Tells which futures are done, as they are, and at the end of `timeoutMs` nothing. @returns a function that stops it. */
export function watch<F extends Awaitable>(
  futures: Iterable<F>,
  timeoutMs: number | undefined,
  tell: (done: F | undefined) => void,
): () => void {
  checkTimeout(timeoutMs);
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => tell(undefined), timeoutMs);
  const takeBack = [...futures].map((future) => future.onDone(() => tell(future)));
  return () => {
    clearTimeout(timer);
    for (const take of takeBack) take();
  };
}
