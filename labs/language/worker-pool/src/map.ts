import { Future } from './future.ts';
import type { RemoteError } from './remote-error.ts';

/** What a task that carries several inputs has to say: their results, up to the first that failed. */
export interface Outcome {
  readonly values: readonly unknown[];
  readonly error?: RemoteError;
}

/**
 * The results of `submit` on each chunk of `inputs`, in their order. It submits `ahead` chunks at once, and one more for
 * each that is taken. The first error ends it, as does leaving the loop: what has not started is cancelled.
 */
export function mapInOrder<I, R>(
  inputs: Iterable<I>,
  { size, ahead }: { readonly size: number; readonly ahead: number },
  submit: (chunk: readonly I[]) => Future<Outcome>,
  read: (outcome: Outcome) => Iterable<R>,
): AsyncGenerator<R, void, undefined> {
  const chunks = chunked(inputs, size);
  // Not an array: to shift a long one takes long.
  const buffer = new Set<Future<Outcome>>();
  const fill = () => {
    while (buffer.size < ahead) {
      try {
        const { value, done } = chunks.next();
        if (done) return;
        buffer.add(submit(value));
      } catch (error) {
        // It waits for its turn: the results of what came before it are good.
        const failed = new Future<Outcome>();
        failed.reject(error);
        buffer.add(failed);
        chunks.return();
      }
    }
  };
  // Not in the generator: that would begin when the first result is asked for.
  fill();
  return (async function* () {
    try {
      for (const next of buffer) {
        buffer.delete(next);
        const outcome = await next;
        if (!outcome.error) fill();
        yield* read(outcome);
      }
    } finally {
      chunks.return();
      for (const future of buffer) future.cancel();
    }
  })();
}

/** `inputs`, so many at a time. */
export function* chunked<I>(inputs: Iterable<I>, size: number): Generator<I[], void, void> {
  let chunk: I[] = [];
  for (const input of inputs) {
    if (chunk.push(input) < size) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}
