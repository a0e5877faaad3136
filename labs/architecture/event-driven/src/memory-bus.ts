import { type Bus, type Cemetery, completeOptions, type SubscribeOptions, type Subscription } from './bus.ts';
import { Dispatcher } from './dispatcher.ts';
import { BusClosedError, UnroutableError } from './errors.ts';
import type { Envelope, Reader } from './event.ts';

/** Events within one process. They die with it: for a monolith's modules, and as the first step away from phone calls. */
export class MemoryBus implements Bus {
  readonly #dead: Cemetery;
  /** The first of a group is active, the others stand by. */
  protected readonly groups = new Set<{ group: string; reader: Reader; dispatcher: Dispatcher }>();
  /** Those that were stopped, and still have something in hand. */
  readonly #leaving = new Set<Dispatcher>();
  /** Group → the end of what its former consumers have in hand. */
  readonly #left = new Map<string, Promise<unknown>>();
  #closed = false;

  /** @param dead Default: dead letters are forgotten. */
  constructor(dead: Cemetery = { add: async () => {} }) {
    this.#dead = dead;
  }

  /**
   * Resolves once every group has room for the events, not once they are handled: a slow group delays no other.
   * @throws UnroutableError for a replay to a group that is not here
   */
  async publish(events: readonly Envelope[], only?: string): Promise<void> {
    if (this.#closed) throw new BusClosedError('the bus is closed: open another');
    if (only !== undefined && ![...this.groups].some(({ group }) => group === only)) {
      throw new UnroutableError(`no group ${only} in this process: subscribe it first`);
    }
    const room: Promise<void>[] = [];
    // As they are now: what the publisher does to them later is nobody's news.
    for (const event of structuredClone(events)) {
      const asked = new Set<string>();
      for (const { group, reader, dispatcher } of this.groups) {
        if (asked.has(group)) continue;
        asked.add(group);
        if (only === undefined ? !reader.types.includes(event.type) : only !== group) continue;
        room.push(dispatcher.accept({ event, ack: async () => {} }, this.#left.get(group)));
      }
    }
    await Promise.all(room);
  }

  /** Its `stop` waits for all that is in hand, retries included, since nothing of it comes again; `close` does not. */
  async subscribe(group: string, reader: Reader, options: SubscribeOptions = {}): Promise<Subscription> {
    if (this.#closed) throw new BusClosedError('the bus is closed: open another');
    const { concurrency = 1_000_000 } = options;
    const dispatcher = this.dispatcher(group, reader, completeOptions(group, { ...options, concurrency }));
    const consumer = { group, reader, dispatcher };
    this.groups.add(consumer);
    return {
      stop: async () => {
        this.groups.delete(consumer);
        this.#leaving.add(dispatcher);
        // Who follows begins once this has ended: two would overtake each other.
        const ended = Promise.all([this.#left.get(group), dispatcher.drain()]);
        this.#left.set(group, ended);
        await ended;
        this.#leaving.delete(dispatcher);
        if (this.#left.get(group) === ended) this.#left.delete(group);
      },
    };
  }

  /** Waits for the tries that have begun; what waits behind them is gone. */
  async close(): Promise<void> {
    this.#closed = true;
    const dispatchers = [...this.groups].map(({ dispatcher }) => dispatcher);
    this.groups.clear();
    await Promise.all([...dispatchers, ...this.#leaving].map((each) => each.finish()));
  }

  protected dispatcher(group: string, reader: Reader, options: Required<SubscribeOptions>): Dispatcher {
    return new Dispatcher(group, reader, options, this.#dead);
  }
}
