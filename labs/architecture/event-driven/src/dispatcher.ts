import { inspect } from 'node:util';
import { type Cemetery, type Delivery, exponential, type SubscribeOptions } from './bus.ts';
import { ConnectionLostError, HandlerTimeoutError, UnknownEventError, UnreadableEventError } from './errors.ts';
import type { Envelope, Reader } from './event.ts';

/** Milliseconds until a dead letter is not safe. Its own: a handler may have far less than a database under load needs. */
const BURIAL_MS = 30_000;

/**
 * What every transport does with an event in hand: a lane for each key, retries in the lane (so that a later event of
 * the same key can't overtake), a dead letter after the last one, and only then the acknowledgement.
 */
export class Dispatcher {
  protected readonly group: string;
  protected readonly reader: Reader;
  protected readonly options: Required<SubscribeOptions>;
  protected readonly dead: Cemetery;
  readonly #lanes = new Map<string, Promise<void>>();
  readonly #abort = new AbortController();
  readonly #finish = new AbortController();
  /** A signal for each try and each wait: one for all would be asked through its whole list by each that joins or leaves. */
  readonly #tries = new Set<AbortController>();
  readonly #waits = new Set<AbortController>();
  readonly #waiting: (() => void)[] = [];
  #inHand = 0;

  constructor(group: string, reader: Reader, options: Required<SubscribeOptions>, dead: Cemetery) {
    this.group = group;
    this.reader = reader;
    this.options = options;
    this.dead = dead;
  }

  /**
   * Resolves when there is room for another: the transport reads no further before.
   * @param after What has to end before: another of its group may still have events in hand
   */
  async accept(delivery: Delivery, after: Promise<unknown> = Promise.resolve()): Promise<void> {
    const begin = () => {
      const lane = this.laneOf(delivery);
      const mine = (this.#lanes.get(lane) ?? after)
        .then(() => this.process(delivery, this.#abort.signal))
        // An acknowledgement that fails is a connection that broke: the broker sends the event again.
        .catch(() => {})
        .then(() => {
          if (this.#lanes.get(lane) === mine) this.#lanes.delete(lane);
          const next = this.#waiting.shift();
          if (next) next();
          else this.#inHand--;
        });
      this.#lanes.set(lane, mine);
    };
    // The place is handed over at once: who came in between would overtake.
    if (this.#inHand >= this.options.concurrency) {
      return new Promise((resolve) => this.#waiting.push(() => resolve(begin())));
    }
    this.#inHand++;
    begin();
  }

  /** Resolves when nothing is in hand. */
  async drain(): Promise<void> {
    while (this.#lanes.size > 0) await Promise.all(this.#lanes.values());
  }

  /** No try begins any more: what is not done when the present ones end comes again. Resolves when nothing is in hand. */
  finish(): Promise<void> {
    this.#finish.abort();
    for (const each of this.#waits) each.abort();
    return this.drain();
  }

  /** Somebody else serves the group now, or nobody: retries end, nothing more is acknowledged. */
  abort(): void {
    this.#abort.abort();
    for (const each of this.#tries) each.abort(this.#abort.signal.reason);
    this.finish();
  }

  protected laneOf({ event }: Delivery): string {
    return event.key;
  }

  protected async process(delivery: Delivery, signal: AbortSignal): Promise<void> {
    const { event, unreadable } = delivery;
    for (let attempt = 1; !this.#finish.signal.aborted; attempt++) {
      try {
        if (unreadable !== undefined) throw unreadable;
        await this.#try(event);
      } catch (thrown) {
        const error = errorOf(thrown);
        const useless = error instanceof UnknownEventError || error instanceof UnreadableEventError;
        const hopeless = useless || attempt >= this.options.maxAttempts;
        if (!hopeless || !(await this.#bury(delivery, error, attempt, signal))) {
          await this.#rest(waitOf(this.options.backoffMs, attempt));
          continue;
        }
      }
      if (!signal.aborted) await delivery.ack();
      return;
    }
  }

  async #rest(ms: number): Promise<void> {
    if (this.#finish.signal.aborted) return;
    const over = new AbortController();
    this.#waits.add(over);
    await pause(ms, over.signal);
    this.#waits.delete(over);
  }

  async #try(event: Envelope): Promise<void> {
    const { timeoutMs } = this.options;
    const over = new AbortController();
    this.#tries.add(over);
    try {
      // A copy for each try: what a handler does to its event, the next try and the dead letter don't see.
      await within(timeoutMs, this.reader.handle(structuredClone(event), over.signal), () => {
        const late = new HandlerTimeoutError(`a try of ${event.type} was not done after ${timeoutMs} ms`);
        over.abort(late);
        return late;
      });
    } finally {
      this.#tries.delete(over);
    }
  }

  /** Whether the dead letter is safe. Where it is not, the event is tried again rather than lost. */
  async #bury({ event }: Delivery, error: Error, attempts: number, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    try {
      await within(BURIAL_MS, this.dead.add(this.group, event, error, attempts));
      return true;
    } catch {
      return false;
    }
  }
}

/** What a handler threw, as an error. What can't even be looked at (a revoked proxy, say) must not end the tries either. */
function errorOf(thrown: unknown): Error {
  try {
    return thrown instanceof Error ? thrown : new Error(typeof thrown === 'string' ? thrown : inspect(thrown));
  } catch {
    return new Error('what was thrown can not be shown');
  }
}

/** What `backoffMs` says. One that throws must not end the tries: an event would be neither done nor dead, a connection lost. */
export function waitOf(backoffMs: (attempt: number) => number, attempt: number): number {
  try {
    return backoffMs(attempt);
  } catch {
    return exponential(attempt);
  }
}

/** The outcome of `work`, or a rejection after `ms` (never, if infinite): a connection that died without a word never answers. */
export async function within<T>(
  ms: number,
  work: Promise<T>,
  late = (): Error => new ConnectionLostError(`no answer within ${ms} ms`),
): Promise<T> {
  if (ms === Number.POSITIVE_INFINITY) return work;
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(late()), ms);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Tells a listener. One that throws, or rejects, must not end what it listens to: that is a warning of the process. */
export function inform(listener: (error: unknown) => unknown, error: unknown): void {
  const told = async () => listener(error);
  told().catch((own: unknown) => process.emitWarning(`onError has thrown ${inspect(own)}`));
}

/** Resolves after `ms`, 24 days at most, or at once when `signal` aborts. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, Math.min(ms, 2 ** 31 - 1));
    signal.addEventListener('abort', done);
  });
}
