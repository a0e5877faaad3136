// Flaw: a gate that has lost everything is loaded with what there was at first, and with nobody who has one.
// Seen in: start scripts that run SET stock 100, again after each restart
// Caught by: a gate that has lost everything is shut until it is counted anew, and then sells what is left
export * from '../src/index.ts';

import { type Load, Gate as Sound } from '../src/index.ts';

export class Gate extends Sound {
  override load(sku: string, count: Load): Promise<boolean> {
    return super.load(sku, { ...count, stock: count.stock + count.buyers.size, buyers: new Map() });
  }
}
