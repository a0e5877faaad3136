// Flaw: whoever finds the gate lost counts, though another has counted since: who bought behind the first count is in no second one.
// Seen in: caches that each instance fills when it starts, without asking whether another has
// Caught by: many who find the gate lost count it once, or the second count takes from who bought behind the first
export * from '../src/index.ts';

import { type Load, OrderBook as Sound } from '../src/index.ts';

export class OrderBook extends Sound {
  override count(sku: string, load: (count: Load) => Promise<boolean>): Promise<void> {
    return super.count(sku, load);
  }
}
