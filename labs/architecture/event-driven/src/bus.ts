import { InvalidArgumentError, type UnreadableEventError } from './errors.ts';
import type { Envelope, Reader } from './event.ts';

/** How a group is served. */
export interface SubscribeOptions {
  /** Tries of one event before it becomes a dead letter. Default 5. */
  readonly maxAttempts?: number;
  /** Milliseconds to wait after failed try n (from 1). Default: 50 · 2ⁿ⁻¹, at most 5000, half of it at random. */
  readonly backoffMs?: (attempt: number) => number;
  /** Events in hand at once, of different keys. More are not taken from the broker. Default 16. */
  readonly concurrency?: number;
}

/** A group's running consumer. */
export interface Subscription {
  /** Takes no more, finishes what is in hand, then stops. What is not acknowledged by then comes again. */
  stop(): Promise<void>;
}

/**
 * The port: what services know of the broker. Each group sees each event of its types at least once, those of one key
 * in order; groups do not know of each other. Of several consumers of one group one is active, the others stand by.
 */
export interface Bus {
  /**
   * Resolves once the broker has all of them safely. @param only deliver to this group alone (a replay).
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
  const { maxAttempts = 5, concurrency = 16, backoffMs = exponential } = options;
  if (group === '') throw new InvalidArgumentError('a group without a name: name the service that it is');
  for (const [name, value] of Object.entries({ maxAttempts, concurrency })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new InvalidArgumentError(`${name} of ${group} is ${value}: give a whole number, at least 1`);
    }
  }
  return { maxAttempts, concurrency, backoffMs };
}

export function exponential(attempt: number): number {
  const full = Math.min(50 * 2 ** (attempt - 1), 5000);
  return full / 2 + (Math.random() * full) / 2;
}
