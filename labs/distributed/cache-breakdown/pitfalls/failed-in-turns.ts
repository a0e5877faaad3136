// Flaw: when the load has failed, each of those who waited tries it himself: fifty callers, fifty loads.
// Seen in: https://github.com/macro-inc/macro/pull/5481 (the review), and bentocache 1.6.1 (see bench.ts)
// Caught by: a load that fails rejects all who wait, once, and is not kept
import { HotCache as Reference, SingleFlight } from '../src/index.ts';

export * from '../src/index.ts';

class InTurns extends SingleFlight {
  override async run<T>(key: string, work: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const waits = this.flights.has(key);
    try {
      return await super.run(key, work, signal);
    } catch (error) {
      if (waits && !signal?.aborted) return this.run(key, work, signal);
      throw error;
    }
  }
}

export class HotCache extends Reference {
  protected override newFlights(timeoutMs: number): SingleFlight {
    return new InTurns({ timeoutMs, clock: this.clock });
  }
}
