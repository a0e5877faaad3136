import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { checkIntegerIn, StaleFenceError } from './errors.ts';
import type { Ops } from './ops.ts';

export interface ControllerOptions {
  readonly ops: Ops;
  /** Milliseconds for which the leader leads without renewing its lease. Default 5,000. */
  readonly leaseMs?: number;
  /** Milliseconds without a word, while somebody could have heard it, after which a host's job is unknown. Default 15,000. */
  readonly silentMs?: number;
  /** Milliseconds from one round to the next. Default 200. */
  readonly everyMs?: number;
  /** Hears of what goes wrong and is tried again; must not throw. */
  readonly onError: (error: unknown) => void;
}

/** One of any number; one of them leads: it starts what is scheduled, gives up who is silent, and takes runs further. */
export class Controller implements AsyncDisposable {
  readonly #o: Required<ControllerOptions>;
  readonly #holder = randomUUID();
  readonly #stop = new AbortController();
  readonly #rounds: Promise<void>;
  /** By the monotonic clock: the last answer of Postgres, and since when one has followed the other. */
  #last = Number.NEGATIVE_INFINITY;
  #hears = 0;

  /** @throws InvalidArgumentError */
  constructor(options: ControllerOptions) {
    this.#o = { leaseMs: 5_000, silentMs: 15_000, everyMs: 200, ...options };
    for (const name of ['leaseMs', 'silentMs', 'everyMs'] as const) checkIntegerIn(name, this.#o[name], 1);
    this.#rounds = this.#run();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#round().catch((error) => {
        // Another one leads: that is no failure.
        if (!(error instanceof StaleFenceError)) this.#o.onError(error);
      });
      await delay(this.#o.everyMs, undefined, { signal }).catch(() => {});
    }
  }

  async #round(): Promise<void> {
    const { ops, leaseMs, silentMs, everyMs, onError } = this.#o;
    const fence = await ops.acquire(this.#holder, leaseMs);
    // After a start, a pause or a Postgres that was away hosts are not silent: nobody was there to hear them.
    const now = performance.now();
    if (now - this.#last > silentMs / 2 + everyMs) this.#hears = now;
    this.#last = now;
    if (fence === undefined) return;
    for (const due of await ops.due()) {
      // One that can't be started keeps no other from its time.
      await ops
        .lead(fence, (tx) => ops.fire(tx, due))
        .catch((error) => {
          if (error instanceof StaleFenceError) throw error;
          onError(error);
        });
    }
    await ops.lead(fence, async (tx) => {
      if (performance.now() - this.#hears >= silentMs) await ops.lose(tx, silentMs);
      await ops.advance(tx);
    });
  }

  /** Ends after what is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#rounds;
  }
}
