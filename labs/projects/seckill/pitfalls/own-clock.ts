// Flaw: the start is compared with the clock of whichever process is asked.
// Seen in: flash sales that open seconds early on the one server whose clock is ahead
// Caught by: nobody is served before the start, by the clock of the server
export * from '../src/index.ts';

import { type BuyOutcome, Gate as Sound } from '../src/index.ts';
import { scripts } from '../src/scripts.ts';

export class Gate extends Sound {
  protected override readonly scripts = {
    ...scripts,
    buy: scripts.buy.replace(/local opensIn = .*/, 'local opensIn = 0'),
  };

  override async buy(user: string, sku: string, requestId: string): Promise<BuyOutcome> {
    const opensInMs = Number(await this.redis.hget(this.keys(sku).item, 'startsAt')) - Date.now();
    return opensInMs > 0 ? { outcome: 'not_started', opensInMs } : super.buy(user, sku, requestId);
  }
}
