// Flaw: who asks after an invalidation joins the load that began before it.
// Seen in: https://github.com/ZiggyCreatures/FusionCache/issues/625
// Caught by: who asks after an invalidation does not get what was being loaded before
import { HotCache as Reference, SingleFlight } from '../src/index.ts';

export * from '../src/index.ts';

class Unforgetting extends SingleFlight {
  override forget(): void {}
}

export class HotCache extends Reference {
  protected override newFlights(timeoutMs: number): SingleFlight {
    return new Unforgetting({ timeoutMs, clock: this.clock });
  }
}
