import { Channel } from './channel.ts';
import { CancelledError } from './errors.ts';
import { Semaphore } from './semaphore.ts';
import { onAbort } from './signal.ts';
import { read, type Source } from './source.ts';
import { taskGroup } from './task-group.ts';

export interface MapBoundedOptions {
  /** Results in the order of the source, or as they come. Default true. */
  readonly ordered?: boolean;
  /** Aborting it ends the iteration with its reason, after the calls under way have ended. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Calls `fn` for each value of `source`, at most `limit` at once, and gives the results. The source is read no further
 * than `limit` values ahead of what the consumer has taken. When the iteration has ended, by its end, an error or
 * `break`, nothing runs any more and the source is closed. (A source that is being read is waited for, unless its
 * iterator's `return` ends the reading, as that of a `Channel` or of another map does: a stream that may stand still
 * needs a limit of its own.) Who breaks off is not told what has failed.
 *
 * @throws TaskGroupError as `taskGroup` does, with the failures of `fn` and of the source; the signal's reason.
 * @throws InvalidArgumentError at the first value, on a limit that is no whole number, 1 or more.
 */
export function mapBounded<In, Out>(
  source: Source<In>,
  limit: number,
  fn: (value: In, signal: AbortSignal) => Out | PromiseLike<Out>,
  options: MapBoundedOptions = {},
): AsyncGenerator<Out, void, void> {
  const leaving = new AbortController();
  const results = resultsOf(source, limit, fn, options, leaving);
  const end = results.return.bind(results);
  // A generator's own `return` waits in line behind a `next` that may have nothing to wait for.
  results.return = (value) => {
    leave(leaving);
    return end(value);
  };
  return results;
}

const leave = (leaving: AbortController) => leaving.abort(new CancelledError('The consumer left.'));

async function* resultsOf<In, Out>(
  source: Source<In>,
  limit: number,
  fn: (value: In, signal: AbortSignal) => Out | PromiseLike<Out>,
  { ordered = true, signal }: MapBoundedOptions,
  leaving: AbortController,
): AsyncGenerator<Out, void, void> {
  const places = new Semaphore(limit);
  const results = new Channel<{ readonly place: Disposable; readonly result: Promise<Out> }>(limit);
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

  try {
    for await (const { place, result } of results) {
      const outcome = await result.then(
        (value) => ({ value }),
        () => undefined,
      );
      if (!outcome) break;
      signal?.throwIfAborted();
      place[Symbol.dispose]();
      yield outcome.value;
    }
    await work.catch((error: unknown) => {
      // Who has left in the middle of `next` wanted its end; whose abort it was else, the next line knows.
      if (!leaving.signal.aborted) throw error;
    });
    signal?.throwIfAborted();
  } finally {
    // Changes nothing unless the consumer has left in the middle.
    leave(leaving);
    await work.catch(() => {});
  }
}
