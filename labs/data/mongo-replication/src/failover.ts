import { type WriteOutcome, writeOutcome } from './outcome.ts';
import { endOf, positiveMs } from './waits.ts';

/** A write as its client saw it end. */
export interface Entry {
  readonly id: string;
  readonly outcome: 'acknowledged' | WriteOutcome;
  /** Milliseconds of `performance.now()` when it ended. */
  readonly at: number;
}

/** The client's book beside the server's, once all members are back. */
export interface Account {
  readonly acknowledged: number;
  /** Acknowledged, and gone: rolled back. */
  readonly lost: readonly string[];
  /** Said to be not applied, and there. */
  readonly ghosts: readonly string[];
  /** Of those without a promise (unknown, or applied without its write concern). */
  readonly open: { readonly there: number; readonly gone: number };
}

/**
 * Settles the accounts after a failover. A write without a promise is no loss when it's gone, and no error when it's there.
 * @param survivors the ids that are found: read from the primary, after the old one has rejoined
 */
export function account(entries: Iterable<Entry>, survivors: Iterable<string>): Account {
  const there = new Set(survivors);
  const all = [...entries];
  const ids = (outcome: Entry['outcome']) => all.filter((it) => it.outcome === outcome).map(({ id }) => id);
  const acknowledged = ids('acknowledged');
  const open = [...ids('unknown'), ...ids('applied')];
  const found = open.filter((id) => there.has(id)).length;
  return {
    acknowledged: acknowledged.length,
    lost: acknowledged.filter((id) => !there.has(id)),
    ghosts: ids('not applied').filter((id) => there.has(id)),
    open: { there: found, gone: open.length - found },
  };
}

/** Milliseconds of the longest silence between two acknowledged writes, whoever made them. 0 for fewer than two. */
export function longestGap(entries: Iterable<Entry>): number {
  const times = [...entries]
    .flatMap(({ outcome, at }) => (outcome === 'acknowledged' ? [at] : []))
    .sort((a, b) => a - b);
  return times.slice(1).reduce((longest, at, i) => Math.max(longest, at - (times[i] ?? at)), 0);
}

export interface FailoverOptions {
  /** Writers at once. Default 4. */
  readonly writers?: number;
  /** Acknowledged writes before the fault, and after it. Default 50. */
  readonly writes?: number;
  /** Milliseconds after which it's given up. Default 60,000. */
  readonly withinMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Writes through a fault, and keeps the book: what was acknowledged, refused, or left without an answer, and when.
 * @param write makes one write under this id: as your product does, with its write concern and its retries
 * @param fault kills or cuts off the primary, or asks it to step down; resolves when that's done
 * @throws what `fault` throws, NoAnswerError when writes don't go on in time, the signal's reason
 */
export async function measureFailover(
  write: (id: string) => Promise<unknown>,
  fault: () => Promise<unknown>,
  { writers = 4, writes = 50, withinMs = 60_000, signal }: FailoverOptions = {},
): Promise<Entry[]> {
  positiveMs('withinMs', withinMs);
  const entries: Entry[] = [];
  const unanswered = new Set<string>();
  let acknowledged = 0;
  let goal: { readonly count: number; readonly reached: () => void } | undefined;
  let over = false;
  const writer = async (name: number) => {
    for (let n = 0; !over; n++) {
      const id = `${name}.${n}`;
      unanswered.add(id);
      const outcome = await Promise.try(write, id).then(() => 'acknowledged' as const, writeOutcome);
      unanswered.delete(id);
      entries.push({ id, outcome, at: performance.now() });
      if (outcome === 'acknowledged' && ++acknowledged >= (goal?.count ?? Number.POSITIVE_INFINITY)) goal?.reached();
      // A write that is refused at once leaves the others their turn.
      if (outcome !== 'acknowledged') await new Promise((resolve) => setTimeout(resolve, 1));
      else await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const more = (count: number) =>
    new Promise<void>((reached) => {
      goal = { count: acknowledged + count, reached };
    });
  const story = async () => {
    await more(writes);
    await fault();
    await more(writes);
  };
  const told = story();
  const working = Promise.all(Array.from({ length: writers }, (_, name) => writer(name)));
  try {
    await endOf(told, withinMs, signal);
  } finally {
    over = true;
    await endOf(working, withinMs, signal).catch(() => {});
  }
  const at = performance.now();
  return [...entries, ...[...unanswered].map((id): Entry => ({ id, outcome: 'unknown', at }))];
}
