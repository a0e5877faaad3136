// Flaw: the bus calls one group after the other, and the first that throws ends the round.
// Seen in: https://github.com/eventflow/EventFlow/issues/609
// Caught by: a group that throws keeps no event from the others
import { type Envelope, MemoryBus as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class MemoryBus extends Reference {
  override async publish(events: readonly Envelope[]): Promise<void> {
    const { signal } = new AbortController();
    for (const event of events) {
      for (const { reader } of this.groups.values()) {
        if (reader.types.includes(event.type)) await reader.handle(event, signal);
      }
    }
  }
}
