// Flaw: five tries within a second, then a dead letter: whatever a handler needs only has to restart, and orders have holes.
// Seen in: https://github.com/linagora/james-project/pull/3166
// Caught by: an outage of half a minute makes no dead letter by default, and events wait for its end in order
import { type Reader, MemoryBus as Reference, type SubscribeOptions, type Subscription } from '../src/index.ts';

export * from '../src/index.ts';

export class MemoryBus extends Reference {
  override subscribe(group: string, reader: Reader, options: SubscribeOptions = {}): Promise<Subscription> {
    return super.subscribe(group, reader, { maxAttempts: 5, ...options });
  }
}
