// Flaw: nothing bounds a load, so one that hangs takes everybody who asks for the key with it.
// Seen in: https://github.com/google/guava/issues/3232
// Caught by: a load that hangs ends in bounded time, and the next one may run
import { HotCache as Reference, SingleFlight } from '../src/index.ts';

export * from '../src/index.ts';

class Patient extends SingleFlight {
  protected override limit(): () => void {
    return () => {};
  }
}

export class HotCache extends Reference {
  protected override newFlights(timeoutMs: number): SingleFlight {
    return new Patient({ timeoutMs, clock: this.clock });
  }
}
