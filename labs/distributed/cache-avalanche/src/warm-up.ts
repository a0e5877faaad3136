import { setTimeout as delay } from 'node:timers/promises';
import pLimit from 'p-limit';
import { GateTimeoutError, NotStoredError, whole } from './errors.ts';
import type { Cache, Load, Read } from './layers.ts';
import { replacing, unlessAborted, unstored } from './read-through.ts';

export interface WarmUpOptions {
  /** Keys under way at once. Default 4: the database has its customers to serve, too. */
  readonly maxLoads?: number;
  /** Ends the warm-up; the promise rejects with its reason. */
  readonly signal?: AbortSignal;
}

export interface WarmUpReport {
  readonly loaded: number;
  /** Keys that were in the cache already, those too that B had and that were loaded anew. */
  readonly present: number;
  readonly failed: readonly { readonly key: string; readonly error: unknown }[];
}

/** What can be warmed: a cache of this lab, or what `compose` makes. */
export type Warmable =
  | Pick<Cache, 'read'>
  | { getOrLoad<T>(key: string, load: Load<T>, options?: { readonly signal?: AbortSignal }): Promise<Read<T>> };

/**
 * Fills an empty cache before the crowd comes: `keys` in order, the hottest first, a few at a time. Fill one with
 * jitter: keys that were warmed together would expire together. A key that fails is reported, and the rest goes on.
 * One that was loaded and that Redis didn't take has failed with a NotStoredError, unless B answered with what it had.
 * What B answers, as A was lost, is under way until it has been loaded anew. Where another process is at it, or a load has
 * just failed, that is waited for, about as long as the lease lasts; then it has failed with a GateTimeoutError.
 *
 * @throws the reason of `signal`; InvalidArgumentError
 */
export async function warmUp<T>(
  cache: Warmable,
  keys: Iterable<string>,
  load: (key: string, signal: AbortSignal) => Promise<T | null>,
  options: WarmUpOptions = {},
): Promise<WarmUpReport> {
  const limit = pLimit(whole('maxLoads', options.maxLoads ?? 4, 1, 10_000));
  const failed: { key: string; error: unknown }[] = [];
  let [loaded, present] = [0, 0];
  const { signal } = options;
  const get = (key: string, one: Load<T>) =>
    'read' in cache ? cache.read(key, one, signal) : cache.getOrLoad(key, one, { ...(signal && { signal }) });
  const anew = async (key: string) => {
    for (let pauseMs = 1; ; pauseMs *= 2) {
      const read = await get(key, (stop) => load(key, stop));
      const replaced = replacing.get(read);
      const leaseMs = replaced && (await (signal ? unlessAborted(replaced, signal) : replaced));
      if (unstored.has(read)) throw new NotStoredError(`${key} was loaded, and Redis did not take it. Warm it again.`);
      if (!leaseMs) return read;
      // The pauses together have outlasted a lease, and again it is somebody else's.
      if (pauseMs > leaseMs) throw new GateTimeoutError(leaseMs);
      await delay(pauseMs, undefined, { signal });
    }
  };
  await limit.map(keys, async (key) => {
    signal?.throwIfAborted();
    try {
      const { source } = await anew(key);
      if (source === 'load') loaded++;
      else present++;
    } catch (error) {
      failed.push({ key, error });
    }
  });
  signal?.throwIfAborted();
  return { loaded, present, failed };
}
