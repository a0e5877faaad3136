import { setImmediate } from 'node:timers/promises';
import type { Semaphore } from './semaphore.ts';
import { shield } from './shield.ts';

/** What can be read; of an iterable of promises each is awaited. */
export type Source<T> = Iterable<T | PromiseLike<T>> | AsyncIterable<T>;

/** So often a long row of values that are all at hand lets timers and I/O have their turn. */
const VALUES_PER_TURN = 64;

/** The values of `source`, each with a place that was free before it was read. Closes the source when `signal` aborts. */
export async function* read<T>(source: Source<T>, places: Pick<Semaphore, 'acquire'>, signal: AbortSignal) {
  const values = iterate(source);
  try {
    for (let count = 1; ; count++) {
      if (count % VALUES_PER_TURN === 0) await setImmediate();
      const place = await places.acquire({ signal });
      const next = await shield(values.next(), { signal, late: () => {} });
      if (next.done) return;
      yield { value: next.value, place };
    }
  } finally {
    // Not otherwise: a source that has ended or failed has closed itself.
    if (signal.aborted) await values.return?.();
  }
}

function iterate<T>(source: Source<T>): AsyncIterator<T> {
  if (typeof source !== 'string' && Symbol.asyncIterator in source) return source[Symbol.asyncIterator]();
  const values = source[Symbol.iterator]();
  const end: IteratorReturnResult<undefined> = { done: true, value: undefined };
  let open = true;
  const close = () => {
    if (open) values.return?.();
    open = false;
  };
  // Not an async generator: its `return` would wait for the promise that is being awaited.
  return {
    async next() {
      const next = values.next();
      if (next.done) return end;
      try {
        return { done: false, value: await next.value };
      } catch (error) {
        try {
          close();
        } catch {
          // As in `for await`: the first error is the one that is told.
        }
        throw error;
      }
    },
    async return() {
      close();
      return end;
    },
  };
}
