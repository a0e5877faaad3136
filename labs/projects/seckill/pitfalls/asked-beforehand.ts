// Flaw: looks whether the user has one before the script runs, not in it.
// Seen in: shops that keep "who has bought" in a set of its own and ask it first
// Caught by: a user gets one: asked again with the same request it is the same one, with another it is refused
export * from '../src/index.ts';

import { type BuyOutcome, Gate as Sound } from '../src/index.ts';
import { scripts } from '../src/scripts.ts';

export class Gate extends Sound {
  protected override readonly scripts = {
    ...scripts,
    buy: scripts.buy.replace('local mine =', 'local _ = nil; local mine = nil --'),
  };

  override async buy(user: string, sku: string, requestId: string): Promise<BuyOutcome> {
    if ((await this.redis.hexists(this.keys(sku).buyers, user)) === 1) return { outcome: 'duplicate' };
    return super.buy(user, sku, requestId);
  }
}
