import { setTimeout as sleep } from 'node:timers/promises';
import type { OrderBook } from './book.ts';
import { checkWhole } from './errors.ts';
import type { Gate } from './gate.ts';
import { giveBack, reconcile } from './reconcile.ts';
import { OrderWorker } from './worker.ts';

export interface ShopOptions {
  readonly gate: Gate;
  readonly book: OrderBook;
  /** What is sold here: on sale already, see `OrderBook.offer`. */
  readonly skus: readonly string[];
  /** Hears of what goes wrong and is tried again; must not throw. */
  readonly onError: (error: unknown) => void;
  /** Milliseconds from one round of deadlines, restocks and comparisons to the next. Default 1,000. */
  readonly everyMs?: number;
  /** See `WorkerOptions`. */
  readonly claimMs?: number;
}

/** One process of the shop: a gate, a worker for each item, and the rounds that put things right. Any number may run. */
export class Shop implements AsyncDisposable {
  readonly gate: Gate;
  readonly book: OrderBook;
  readonly #workers: readonly OrderWorker[];
  readonly #stop = new AbortController();
  readonly #rounds: Promise<void>;

  /** @throws InvalidArgumentError */
  constructor({ gate, book, skus, onError, everyMs = 1_000, ...worker }: ShopOptions) {
    checkWhole('everyMs', everyMs, 1);
    this.gate = gate;
    this.book = book;
    this.#workers = skus.map((sku) => new OrderWorker({ gate, book, sku, onError, ...worker }));
    this.#rounds = this.#run(skus, everyMs, onError);
  }

  async #run(skus: readonly string[], everyMs: number, onError: (error: unknown) => void): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const round = [
        () => this.book.expire(),
        () => giveBack(this.gate, this.book),
        ...skus.map((sku) => () => reconcile(this.gate, this.book, sku)),
      ];
      for (const step of round) await step().catch(onError);
      await sleep(everyMs, undefined, { signal }).catch(() => {});
    }
  }

  /** Ends after what is under way; the stores stay open. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#rounds, ...this.#workers.map((worker) => worker[Symbol.asyncDispose]())]);
  }
}
