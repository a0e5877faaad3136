// Flaw: a failed event is queued again at the end, so later events of its order overtake it.
// Seen in: https://github.com/apache/pulsar/issues/15317
// Caught by: a retry lets no later event of its key overtake, and holds up no other key
import {
  type Cemetery,
  type Delivery,
  Dispatcher,
  type Reader,
  MemoryBus as Reference,
  type SubscribeOptions,
} from '../src/index.ts';

export * from '../src/index.ts';

class BackOfTheQueue extends Dispatcher {
  protected override async process(delivery: Delivery, signal: AbortSignal): Promise<void> {
    try {
      await this.reader.handle(delivery.event, signal);
    } catch {
      this.accept(delivery);
    }
  }
}

export class MemoryBus extends Reference {
  protected override dispatcher(group: string, reader: Reader, options: Required<SubscribeOptions>): Dispatcher {
    const nobody: Cemetery = { add: async () => {} };
    return new BackOfTheQueue(group, reader, options, nobody);
  }
}
