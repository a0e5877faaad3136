// Flaw: the load runs under the signal of the caller who came first, so his going home cancels it for everybody.
// Seen in: https://github.com/authzed/spicedb/pull/925
// Caught by: a caller who gives up leaves at once, and takes nobody along
import { HotCache as Reference, SingleFlight } from '../src/index.ts';

export * from '../src/index.ts';

class OneSignal extends SingleFlight {
  override run<T>(key: string, work: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return super.run(key, (own) => work(signal ? AbortSignal.any([own, signal]) : own), signal);
  }
}

export class HotCache extends Reference {
  protected override newFlights(timeoutMs: number): SingleFlight {
    return new OneSignal({ timeoutMs, clock: this.clock });
  }
}
