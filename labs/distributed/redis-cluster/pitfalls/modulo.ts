// Flaw: slot % number of nodes. One more node, and three keys of four belong somewhere else.
// Seen in: https://github.com/bradfitz/gomemcache/issues/135
// Caught by: a node that joins gets its share from each of the others, and nothing else moves
import type { SlotMove } from '../src/index.ts';

export * from '../src/index.ts';

export function planMoves(owners: readonly (string | undefined)[], nodes: readonly string[]): SlotMove[] {
  return owners.flatMap((from, slot) => {
    const to = nodes[slot % nodes.length];
    return from === undefined || to === undefined || from === to ? [] : [{ slot, from, to }];
  });
}
