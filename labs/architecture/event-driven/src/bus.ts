import { InvalidArgumentError, type UnreadableEventError } from './errors.ts';
import type { Envelope, Reader } from './event.ts';

/** How a group is served. */
export interface SubscribeOptions {
  /**
   * Tries of one event before it becomes a dead letter. Default 20: with the default waits they outlast an outage of half
   * a minute.
   */
  readonly maxAttempts?: number;
  /** Milliseconds to wait after failed try n (from 1). Default: 50 · 2ⁿ⁻¹, at most 5000, half of it at random. */
  readonly backoffMs?: (attempt: number) => number;
  /**
   * Events in hand at once, those that wait behind one of their key among them. More are not taken from the broker. Default
   * 16; in a MemoryBus, where they have no other place to wait, 1,000,000: so many handlers may run at once.
   */
  readonly concurrency?: number;
  /**
   * Milliseconds that one try may take; then the handler's signal aborts, and the try has failed. A handler that doesn't
   * heed its signal runs on beside the next try. Default 30,000.
   */
  readonly timeoutMs?: number;
}

/** A group's running consumer. */
export interface Subscription {
  /** Takes no more, lets each try end that has begun, then stops. What is not acknowledged by then comes again. */
  stop(): Promise<void>;
}

/**
 * The port: what services know of the broker. Each group sees each event of its types at least once, those of one key
 * in order, though one that comes again may come behind later ones; groups do not know of each other. Of several
 * consumers of one group one is active, the others stand by. A type that the active one has no handler for passes its
 * group by: a deploy that adds one stops the former consumers first.
 */
export interface Bus {
  /**
   * Resolves once the broker has all of them safely. @param only deliver to this group alone (a replay); where it has no
   *   handler for the type, it is a dead letter again
   * @throws UnroutableError, ConnectionLostError, BusClosedError, or the client's error: then some may have been taken,
   *   publish all again
   */
  publish(events: readonly Envelope[], only?: string): Promise<void>;
  /** @throws InvalidArgumentError, ConnectionLostError, BusClosedError, or the client's error */
  subscribe(group: string, reader: Reader, options?: SubscribeOptions): Promise<Subscription>;
  /** Stops every subscription. */
  close(): Promise<void>;
}

/** Where events go that a group can't handle. */
export interface Cemetery {
  add(group: string, event: Envelope, error: Error, attempts: number): Promise<void>;
}

/** An event in hand. */
export interface Delivery {
  readonly event: Envelope;
  /** Why no handler gets it: it only stands in for a text that is no event. */
  readonly unreadable?: UnreadableEventError;
  /** Tells the broker that it is done. Until then it comes again after a crash. */
  ack(): Promise<unknown>;
}

export function completeOptions(group: string, options: SubscribeOptions): Required<SubscribeOptions> {
  const { maxAttempts = 20, concurrency = 16, timeoutMs = 30_000, backoffMs = exponential } = options;
  if (group === '') throw new InvalidArgumentError('a group without a name: name the service that it is');
  for (const [name, value] of Object.entries({ maxAttempts, concurrency, timeoutMs })) {
    assertCount(`${name} of ${group}`, value);
  }
  return { maxAttempts, concurrency, timeoutMs, backoffMs };
}

/** A timer holds 2³¹ − 1 ms at most; what is longer would end at once. */
export function assertCount(what: string, value: number): void {
  if (!Number.isInteger(value) || value < 1 || value >= 2 ** 31) {
    throw new InvalidArgumentError(`${what} is ${value}: give a whole number, 1 to 2147483647`);
  }
}

export function exponential(attempt: number): number {
  const full = Math.min(50 * 2 ** (attempt - 1), 5000);
  return full / 2 + (Math.random() * full) / 2;
}
