// Flaw: the warm-up loads everything at once: it is the avalanche that it was to prevent.
// Seen in: https://github.com/dadi/api/issues/50
// Caught by: a warm-up loads a few at a time, reports what failed, and leaves the crowd nothing to load
import { warmUp as reference, type Warmable, type WarmUpOptions, type WarmUpReport } from '../src/index.ts';

export * from '../src/index.ts';

export function warmUp<T>(
  cache: Warmable,
  keys: Iterable<string>,
  load: (key: string, signal: AbortSignal) => Promise<T | null>,
  options: WarmUpOptions = {},
): Promise<WarmUpReport> {
  return reference(cache, keys, load, { ...options, maxLoads: 10_000 });
}
