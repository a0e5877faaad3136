// Flaw: the calls are made first, and their promises limited: by then all of them are under way.
// Seen in: https://github.com/sitespeedio/sitespeed.io/pull/1566
// Caught by: a map has no more than its limit under way, and reads no further ahead
import { type MapBoundedOptions, mapBounded as reference, type Source } from '../src/index.ts';

export * from '../src/index.ts';

export async function* mapBounded<In, Out>(
  source: Source<In>,
  limit: number,
  fn: (value: In, signal: AbortSignal) => Out | PromiseLike<Out>,
  options?: MapBoundedOptions,
): AsyncGenerator<Out, void, void> {
  const { signal } = new AbortController();
  const calls = (await Array.fromAsync(source)).map(async (value) => fn(value, signal));
  yield* reference(calls, limit, (result) => result, options);
}
