// Flaw: a write that timed out counts as one that failed: when it's there, that looks like a fault; when it's gone, nobody asks.
// Seen in: https://github.com/jepsen-io/jepsen/issues/596
// Caught by: what was acknowledged and is gone is lost; what had no promise is not
import { type Account, type Entry, account as given } from '../src/index.ts';

export * from '../src/index.ts';

export function account(entries: Iterable<Entry>, survivors: Iterable<string>): Account {
  const decided = [...entries].map((it): Entry => (it.outcome === 'unknown' ? { ...it, outcome: 'not applied' } : it));
  return given(decided, survivors);
}
