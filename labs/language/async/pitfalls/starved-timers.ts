// Flaw: a loop of awaits over values that are at hand runs on microtasks alone: no timer fires, no request is read.
// Seen in: https://github.com/nodejs/promise-use-cases/issues/25
// Caught by: a long row of ready values lets timers fire
import type { Source } from '../src/index.ts';

export * from '../src/index.ts';

export async function* mapBounded<In, Out>(
  source: Source<In>,
  limit: number,
  fn: (value: In, signal: AbortSignal) => Out | PromiseLike<Out>,
): AsyncGenerator<Out, void, void> {
  const { signal } = new AbortController();
  const calls: Promise<Out>[] = [];
  for await (const value of source) {
    calls.push((async () => fn(value, signal))());
    const first = calls.length === limit ? calls.shift() : undefined;
    if (first) yield await first;
  }
  yield* calls;
}
