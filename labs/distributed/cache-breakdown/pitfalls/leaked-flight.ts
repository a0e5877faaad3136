// Flaw: work that throws before its first await leaves its entry in the map, and all who come later wait for nothing.
// Seen in: https://github.com/jdbi/jdbi/pull/2995
// Caught by: a loader that throws before it awaits is like one that rejects
import { SingleFlight as Reference } from '../src/index.ts';
import type { Flight } from '../src/single-flight.ts';

export * from '../src/index.ts';

export class SingleFlight extends Reference {
  protected override start(key: string, work: (signal: AbortSignal) => Promise<unknown>): Flight {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const flight = super.start(key, () => promise);
    this.flights.set(key, flight);
    work(flight.abort.signal).then(resolve, reject);
    return flight;
  }
}
