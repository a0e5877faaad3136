// Flaw: a rejected promise stays in the map: one failure, and the key fails for ever.
// Seen in: https://github.com/medikoo/memoizee/issues/117
// Caught by: a load that fails rejects all who wait, once, and is not kept
import { HotCache as Reference, SingleFlight } from '../src/index.ts';
import type { Flight } from '../src/single-flight.ts';

export * from '../src/index.ts';

class Resentful extends SingleFlight {
  protected override start(key: string, work: (signal: AbortSignal) => Promise<unknown>): Flight {
    const flight = super.start(key, work);
    flight.result.catch(() => this.flights.set(key, flight));
    return flight;
  }
}

export class HotCache extends Reference {
  protected override newFlights(timeoutMs: number): SingleFlight {
    return new Resentful({ timeoutMs, clock: this.clock });
  }
}
