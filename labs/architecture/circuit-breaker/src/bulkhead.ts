import { type Call, type Policy, runCancellable } from './call.ts';
import { type Clock, systemClock } from './clock.ts';
import { BulkheadFullError, QueueTimeoutError } from './errors.ts';
import { LONGEST_TIMER_MS, numberOf, wholeNumberOf } from './options.ts';

export interface BulkheadOptions {
  /** For messages. Default "bulkhead". */
  readonly name?: string;
  /** Calls at once. */
  readonly concurrent: number;
  /** Callers who may wait for a slot; the next one is refused. Default 0. */
  readonly queue?: number;
  /**
   * Longest wait in the queue, in milliseconds. Default 1,000. Keep it well below the `timeoutMs` of a circuit around the
   * bulkhead: a call that runs out of time in the queue counts as a failure there.
   */
  readonly queueTimeoutMs?: number;
  readonly clock?: Clock;
}

/** Someone in the queue: `enter` gives him the slot. */
interface Waiter {
  enter(): void;
}

/**
 * Lets `concurrent` calls run at once, and a bounded number wait in line, first come first served: a dependency that
 * hangs fills its own compartment, and the ship floats on. Make one for each dependency.
 * Source: Michael Nygard, "Release It!"
 */
export class Bulkhead implements Policy {
  readonly name: string;
  protected readonly concurrent: number;
  protected readonly queue: number;
  protected readonly queueTimeoutMs: number;
  protected readonly clock: Clock;
  /** In order of arrival; leaving from the middle costs nothing. */
  protected readonly waiting = new Set<Waiter>();
  protected active = 0;

  /** @throws InvalidOptionError on a number that is none, or out of range. */
  constructor(options: BulkheadOptions) {
    const inAll = Number.MAX_SAFE_INTEGER;
    this.name = options.name ?? 'bulkhead';
    this.concurrent = wholeNumberOf('concurrent', options.concurrent, 1, inAll);
    this.queue = wholeNumberOf('queue', options.queue ?? 0, 0, inAll);
    this.queueTimeoutMs = numberOf('queueTimeoutMs', options.queueTimeoutMs ?? 1_000, 1, LONGEST_TIMER_MS);
    this.clock = options.clock ?? systemClock;
  }

  /** Calls under way, and callers in the queue. */
  get load(): { readonly active: number; readonly waiting: number } {
    return { active: this.active, waiting: this.waiting.size };
  }

  /**
   * Runs `call` in a slot. When `signal` aborts, the promise rejects at once; the slot is free when the call has
   * settled. A call that ignores its own signal still runs, and a limit that no longer counts it is none.
   *
   * @throws BulkheadFullError at once when slots and queue are full; QueueTimeoutError after `queueTimeoutMs` in the
   *   queue; the signal's reason when it aborts; else what the call throws.
   */
  async run<T>(call: Call<T>, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<T> {
    const { signal } = options;
    if (signal?.aborted) throw signal.reason;
    if (this.active < this.concurrent) this.active++;
    else await this.wait(signal);
    // He may have left since he was let in.
    if (signal?.aborted) {
      this.leave();
      throw signal.reason;
    }
    // Awaited, so that the stack of a failure goes on with our caller.
    return await this.execute(call, signal);
  }

  protected execute<T>(call: Call<T>, signal: AbortSignal | undefined): Promise<T> {
    return runCancellable(async (own) => {
      try {
        return await call(own);
      } finally {
        this.leave();
      }
    }, signal);
  }

  /** Resolves when a slot is ours; rejects when it never will be, and nobody hands us one any more. */
  protected wait(signal: AbortSignal | undefined): Promise<void> {
    if (!this.hasRoom()) {
      const what = `${this.name} is full: ${this.concurrent} under way, ${this.waiting.size} waiting.`;
      throw new BulkheadFullError(what, this.queueTimeoutMs);
    }
    return new Promise((resolve, reject) => {
      const leaveQueue = () => {
        cancel();
        signal?.removeEventListener('abort', onAbort);
        this.waiting.delete(waiter);
      };
      const giveUp = (reason: unknown) => {
        leaveQueue();
        reject(reason);
      };
      const waiter: Waiter = {
        enter: () => {
          leaveQueue();
          resolve();
        },
      };
      const onAbort = () => giveUp(signal?.reason);
      const cancel = this.clock.after(this.queueTimeoutMs, () => {
        const what = `${this.name}: no slot within ${this.queueTimeoutMs} ms.`;
        giveUp(new QueueTimeoutError(what, this.queueTimeoutMs));
      });
      signal?.addEventListener('abort', onAbort, { once: true });
      this.waiting.add(waiter);
    });
  }

  protected hasRoom(): boolean {
    return this.waiting.size < this.queue;
  }

  /** Hands the slot to the first in line, so that no newcomer gets in between. */
  protected leave(): void {
    const [next] = this.waiting;
    if (next) next.enter();
    else this.active--;
  }
}
