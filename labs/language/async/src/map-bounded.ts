import { setImmediate } from 'node:timers/promises';
import { Channel } from './channel.ts';
import { CancelledError } from './errors.ts';
import { Semaphore } from './semaphore.ts';
import { shield } from './shield.ts';
import { onAbort } from './signal.ts';
import { taskGroup } from './task-group.ts';

export interface MapBoundedOptions {
  /** Results in the order of the source, or as they come. Default true. */
  readonly ordered?: boolean;
  /** Aborting it ends the iteration with its reason, after the calls under way have ended. */
  readonly signal?: AbortSignal | undefined;
}

/** What can be read; of an iterable of promises each is awaited. */
export type Source<T> = Iterable<T | PromiseLike<T>> | AsyncIterable<T>;

/**
 * Calls `fn` for each value of `source`, at most `limit` at once, and gives the results. The source is read no further
 * than `limit` values ahead of what the consumer has taken. When the iteration has ended, by its end, an error or
 * `break`, nothing runs any more and the source is closed.
 *
 * @throws TaskGroupError as `taskGroup` does, with the failures of `fn` and of the source; the signal's reason.
 * @throws InvalidArgumentError at the first value, on a limit that is no whole number, 1 or more.
 */
export async function* mapBounded<In, Out>(
  source: Source<In>,
  limit: number,
  fn: (value: In, signal: AbortSignal) => Out | PromiseLike<Out>,
  { ordered = true, signal }: MapBoundedOptions = {},
): AsyncGenerator<Out, void, void> {
  const places = new Semaphore(limit);
  const results = new Channel<{ readonly place: Disposable; readonly result: Promise<Out> }>(limit);
  const leaving = new AbortController();
  using _ = onAbort(signal, (reason) => leaving.abort(reason));

  const work = taskGroup(
    async (group) => {
      for await (const { value, place } of read(source, places, group.signal)) {
        const call = async (own: AbortSignal) => fn(value, own);
        if (ordered) await results.put({ place, result: group.spawn(call) });
        else group.spawn(async (own) => results.put({ place, result: Promise.resolve(await call(own)) }));
      }
    },
    { signal: leaving.signal },
  );
  work.then(
    () => results.close(),
    () => results.close(true),
  );

  let left = true;
  try {
    for await (const { place, result } of results) {
      const outcome = await result.then(
        (value) => ({ value }),
        () => undefined,
      );
      if (!outcome) break;
      place[Symbol.dispose]();
      yield outcome.value;
    }
    left = false;
    await work;
  } finally {
    if (left) leaving.abort(new CancelledError('The consumer left.'));
    await work.catch(() => {});
  }
}

/** So often a long row of values that are all at hand lets timers and I/O have their turn. */
const VALUES_PER_TURN = 64;

/** The values of `source`, each with a place that was free before it was read. Closes the source when it is left. */
export async function* read<T>(source: Source<T>, places: Pick<Semaphore, 'acquire'>, signal: AbortSignal) {
  const values = iterate(source);
  let reading = false;
  try {
    for (let count = 1; ; count++) {
      if (count % VALUES_PER_TURN === 0) await setImmediate();
      const place = await places.acquire({ signal });
      reading = true;
      const next = await shield(values.next(), { signal, late: () => {} });
      if (next.done) return;
      reading = false;
      yield { value: next.value, place };
    }
  } finally {
    // As `for await` does: a source that has ended or failed has closed itself.
    if (!reading || signal.aborted) await values.return?.();
  }
}

function iterate<T>(source: Source<T>): AsyncIterator<T> {
  if (Symbol.asyncIterator in source) return source[Symbol.asyncIterator]();
  return (async function* () {
    yield* source;
  })();
}
