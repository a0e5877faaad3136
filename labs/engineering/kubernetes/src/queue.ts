import { type Clock, systemClock, unharmedBy } from './clock.ts';
import { InvalidArgumentError } from './errors.ts';

export interface QueueOptions {
  /** Keys worked on at once. Default 4. */
  readonly workers?: number;
  /** Milliseconds before the first repetition of a key that failed; each further failure doubles it. Default 5. */
  readonly baseMs?: number;
  /** No wait is longer than this, in milliseconds. Default 60,000. */
  readonly maxMs?: number;
  /** Hears of each failure, before the key waits for its repetition. What it throws is ignored. */
  readonly onError?: (key: string, error: unknown) => void;
  readonly clock?: Clock;
}

/** @returns a number: milliseconds after which the key is due again; anything else: not before it is added */
export type Work = (key: string) => Promise<unknown>;

/**
 * Keys that are due, each once, however often it was added: what is done depends on what is there then, not on what has
 * happened. A key is never worked on twice at once; one that is added meanwhile is due again afterwards.
 */
export class WorkQueue {
  protected readonly work: Work;
  protected readonly options: Required<QueueOptions>;
  protected readonly due = new Set<string>();
  protected readonly busy = new Map<string, Promise<void>>();
  protected readonly waiting = new Map<string, { readonly at: number; readonly cancel: () => void }>();
  protected readonly failures = new Map<string, number>();
  protected closed = false;

  constructor(work: Work, options: QueueOptions = {}) {
    this.work = work;
    const onError = unharmedBy(options.onError ?? (() => {}));
    this.options = { workers: 4, baseMs: 5, maxMs: 60_000, clock: systemClock, ...options, onError };
    const { workers, baseMs, maxMs } = this.options;
    if (!Number.isSafeInteger(workers) || workers < 1) {
      throw new InvalidArgumentError(`workers is ${workers}: it must be a whole number, 1 or more`);
    }
    if (!(baseMs > 0 && baseMs <= maxMs && maxMs < 2 ** 31)) {
      throw new InvalidArgumentError(`baseMs ${baseMs} and maxMs ${maxMs} must be 0 < baseMs <= maxMs < 2^31`);
    }
  }

  /** Due now. After `close()` nothing is. */
  add(key: string): void {
    if (this.closed) return;
    this.waiting.get(key)?.cancel();
    this.waiting.delete(key);
    this.due.add(key);
    this.next();
  }

  /**
   * Due in `ms` milliseconds, or sooner if it is due sooner already.
   * @throws InvalidArgumentError when `ms` is NaN
   */
  addAfter(key: string, ms: number): void {
    if (Number.isNaN(ms))
      throw new InvalidArgumentError(`${key} would be due in NaN ms: give a number of milliseconds`);
    if (this.closed || this.due.has(key)) return;
    const { clock } = this.options;
    const at = clock.mono() + ms;
    const waiting = this.waiting.get(key);
    if (waiting !== undefined && waiting.at <= at) return;
    waiting?.cancel();
    this.waiting.set(key, { at, cancel: clock.after(ms, () => this.add(key)) });
  }

  /** Begins nothing more, and resolves once what is being worked on has ended. */
  async close(): Promise<void> {
    this.closed = true;
    this.due.clear();
    for (const { cancel } of this.waiting.values()) cancel();
    this.waiting.clear();
    await Promise.all(this.busy.values());
  }

  /** Begins what is due, as far as there are workers, and not what is being worked on. */
  protected next(): void {
    for (const key of this.due) {
      if (this.busy.size >= this.options.workers) return;
      if (this.busy.has(key)) continue;
      this.due.delete(key);
      this.busy.set(key, this.run(key));
    }
  }

  protected async run(key: string): Promise<void> {
    // Work that fails, or adds its own key, before it first waits has to find the key among those that are worked on.
    await Promise.resolve();
    try {
      const again = await this.work(key);
      this.failures.delete(key);
      if (typeof again === 'number') this.addAfter(key, again);
    } catch (error) {
      this.options.onError(key, error);
      this.addAfter(key, this.backOff(key));
    } finally {
      this.busy.delete(key);
      this.next();
    }
  }

  /** Half of it by chance: keys that failed together, of one cause, shall not all come back together. */
  protected backOff(key: string): number {
    const { baseMs, maxMs } = this.options;
    const failures = this.failures.get(key) ?? 0;
    this.failures.set(key, failures + 1);
    return Math.min(maxMs, baseMs * 2 ** failures) * (0.5 + Math.random() / 2);
  }
}
