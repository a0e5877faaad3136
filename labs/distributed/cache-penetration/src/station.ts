import type { Filter } from './filter.ts';
import type { MissGuard } from './guard.ts';
import { type Cache, compose, type Layer } from './layers.ts';
import type { LookupCache } from './lookup.ts';

export interface Defences {
  readonly guard?: MissGuard | undefined;
  readonly filter?: Filter | undefined;
  readonly cache?: LookupCache | undefined;
}

/**
 * The three defences in the order that makes each cheap for the next: a banned client asks nobody, an id that the
 * filter refuses leaves no marker in Redis, and what gets through costs the database one query for the marker's TTL.
 * `client`: whose misses the guard counts; without it nobody's.
 */
export function protect({ guard, filter, cache }: Defences, client?: string): Cache {
  const layers: (Layer | undefined)[] = [
    client === undefined ? undefined : guard?.layer(client),
    filter?.layer(),
    cache?.layer(),
  ];
  return compose(...layers.filter((layer) => layer !== undefined));
}

/**
 * Inserts a row so that nobody is told that it doesn't exist: its id goes into the filter *before* the commit, its
 * marker goes out of the cache *after* it. `commit` writes and commits. `key` is the id in the filter and the key in the cache.
 *
 * @throws FilterUnavailableError, and then `commit` hasn't run; what `commit` throws. An invalidation that fails doesn't
 *   undo the row: the cache's `onEvent` is told, and a marker hides the row for at most its TTL.
 */
export async function insertRow<R>(
  { filter, cache }: Pick<Defences, 'filter' | 'cache'>,
  key: string,
  commit: () => Promise<R>,
): Promise<R> {
  await filter?.add(key);
  return changeRow({ cache }, key, commit);
}

/**
 * Changes or deletes a row. A deleted id stays in the filter until it is rebuilt: its bits are those of others too. An
 * invalidation that fails is told to the cache's `onEvent`, and the old value is served for at most its TTL.
 */
export async function changeRow<R>(
  { cache }: Pick<Defences, 'cache'>,
  key: string,
  commit: () => Promise<R>,
): Promise<R> {
  try {
    return await commit();
  } finally {
    // Also after an error: a commit whose answer was lost may have happened.
    await cache?.invalidate(key).catch(() => {});
  }
}
