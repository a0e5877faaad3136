import { type Bus, type Cemetery, completeOptions, type SubscribeOptions, type Subscription } from './bus.ts';
import { Dispatcher } from './dispatcher.ts';
import { BusClosedError } from './errors.ts';
import type { Envelope, Reader } from './event.ts';

/** Events within one process. They die with it: for a monolith's modules, and as the first step away from phone calls. */
export class MemoryBus implements Bus {
  readonly #dead: Cemetery;
  protected readonly groups = new Map<string, { reader: Reader; dispatcher: Dispatcher }>();
  #closed = false;

  /** @param dead Default: dead letters are forgotten. */
  constructor(dead: Cemetery = { add: async () => {} }) {
    this.#dead = dead;
  }

  /** Resolves once every group has room for the events, not once they are handled: a slow group delays no other. */
  async publish(events: readonly Envelope[], only?: string): Promise<void> {
    if (this.#closed) throw new BusClosedError('the bus is closed: open another');
    // As they are now: what the publisher does to them later is nobody's news.
    for (const event of structuredClone(events)) {
      for (const [group, { reader, dispatcher }] of this.groups) {
        if (!reader.types.includes(event.type) || (only !== undefined && only !== group)) continue;
        await dispatcher.accept({ event, ack: async () => {} });
      }
    }
  }

  async subscribe(group: string, reader: Reader, options: SubscribeOptions = {}): Promise<Subscription> {
    if (this.#closed) throw new BusClosedError('the bus is closed: open another');
    const dispatcher = this.dispatcher(group, reader, completeOptions(group, { concurrency: 1_000_000, ...options }));
    this.groups.set(group, { reader, dispatcher });
    return {
      stop: async () => {
        this.groups.delete(group);
        await dispatcher.drain();
      },
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const { dispatcher } of this.groups.values()) dispatcher.abort();
    this.groups.clear();
  }

  protected dispatcher(group: string, reader: Reader, options: Required<SubscribeOptions>): Dispatcher {
    return new Dispatcher(group, reader, options, this.#dead);
  }
}
