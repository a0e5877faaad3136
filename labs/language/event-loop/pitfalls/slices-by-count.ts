// Flaw: a pause after each so many items, however long they take: light ones pay for it, heavy ones block as before.
// Seen in: https://github.com/stablyai/orca/pull/10892
// Caught by: work in slices gives what a plain loop gives, and no slice is longer than its budget
import { nextTurn } from '../src/index.ts';

export * from '../src/index.ts';

export async function chunked<T, R>(items: Iterable<T>, fn: (item: T, index: number) => R): Promise<R[]> {
  const results: R[] = [];
  for (const item of items) {
    results.push(fn(item, results.length));
    if (results.length % 20 === 0) await nextTurn();
  }
  return results;
}
