import { setTimeout as sleep } from 'node:timers/promises';
import type { Book } from './book.ts';
import type { Alert } from './desk.ts';
import { AnalyticsError, checkWhole } from './errors.ts';
import type { Intake } from './intake.ts';

export interface AnalyserOptions {
  readonly intake: Intake;
  readonly book: Book;
  /** Hears of what goes wrong and is tried again; must not throw. */
  readonly onError: (error: unknown) => void;
  /** Tells somebody of an alert. One for which it throws is told again; so is one whose teller died: rule and window are its identity. */
  readonly notify?: (alert: Alert, signal: AbortSignal) => Promise<void>;
  /** Milliseconds that it may take; then it has not told, and its signal aborts. Default 10,000. */
  readonly notifyMs?: number;
  /** Milliseconds from one look for lines to the next when there are none. Default 20. */
  readonly everyMs?: number;
  /** Entries of the stream in one transaction. Default 20. */
  readonly batch?: number;
}

/** Brings lines from the intake into the book. Any number of them may run, and any of them may die at any point. */
export class Analyser implements AsyncDisposable {
  protected readonly o: Required<AnalyserOptions>;
  readonly #stop = new AbortController();
  #running: readonly Promise<void>[] = [];

  /** @throws InvalidArgumentError */
  constructor({ notify = async () => {}, notifyMs = 10_000, everyMs = 20, batch = 20, ...rest }: AnalyserOptions) {
    checkWhole('notifyMs', notifyMs, 1);
    checkWhole('everyMs', everyMs, 1);
    checkWhole('batch', batch, 1, 1_000);
    this.o = { ...rest, notify, notifyMs, everyMs, batch };
  }

  /** Runs until it is disposed of. */
  start(): this {
    if (this.#running.length > 0) return this;
    let ticked = 0;
    const count = async () => {
      if ((await this.step()) > 0) return;
      if (performance.now() - ticked > 1_000) {
        await this.tick();
        ticked = performance.now();
      }
      await this.#pause(this.o.everyMs);
    };
    // Apart: a pager that is slow holds up no line.
    const ring = async () => {
      await this.ring();
      await this.#pause(Math.max(200, this.o.everyMs));
    };
    this.#running = [this.#loop(count), this.#loop(ring)];
    return this;
  }

  /** Counts the oldest lines that wait. @returns of how many calls. @throws StoreUnavailableError, WindowWidthError */
  async step(): Promise<number> {
    const { intake, book, batch, onError } = this.o;
    const found = await intake.waiting(batch);
    if (found.length === 0) return 0;
    const entries = found.flatMap(({ id, entry }) => {
      if (entry === undefined) onError(new Error(`Entry ${id} of the stream is none of ours: it is left out.`));
      return entry ?? [];
    });
    await book.update((desk) => {
      for (const entry of entries) desk.file(entry);
    });
    // Only now. Whoever dies before this finds them again, and their positions behind them.
    await intake.done(found.map(({ id }) => id));
    return found.length;
  }

  /** Lets time go on where no line comes. @throws StoreUnavailableError, WindowWidthError */
  async tick(): Promise<void> {
    const now = await this.o.intake.now();
    // Asked behind the time, whoever has stood still in between: what came before `now` is counted, or time does not go on.
    if ((await this.o.intake.depth()) > 0) return;
    await this.o.book.update((desk) => desk.tick(now));
  }

  /**
   * Tells of each alert of which nobody has been told. One that can't be told holds up its own rule, whose story keeps its order,
   * and no other; `onError` has what `notify` threw, or an AnalyticsError when it took too long. @throws StoreUnavailableError
   */
  async ring(): Promise<void> {
    const unheard = new Set<string>();
    for (const alert of await this.o.book.untold()) {
      if (this.#stop.signal.aborted) return;
      if (unheard.has(alert.rule)) continue;
      try {
        await this.#tell(alert);
      } catch (error) {
        unheard.add(alert.rule);
        if (!this.#stop.signal.aborted) this.o.onError(error);
        continue;
      }
      await this.o.book.told(alert);
    }
  }

  /** Whoever hangs is waited for until his time is up, or until the stop. */
  async #tell(alert: Alert): Promise<void> {
    const over = new AbortController();
    const { promise: cut, reject } = Promise.withResolvers<never>();
    const stop = (why = 'the analyser stops') => {
      const error = new AnalyticsError(`Nobody was told of ${alert.rule}: ${why}. It is told again.`);
      over.abort(error);
      reject(error);
    };
    const stopped = () => stop();
    const timer = setTimeout(() => stop(`notify took longer than ${this.o.notifyMs} ms`), this.o.notifyMs);
    this.#stop.signal.addEventListener('abort', stopped, { once: true });
    try {
      await Promise.race([this.o.notify(alert, over.signal), cut]);
    } finally {
      clearTimeout(timer);
      this.#stop.signal.removeEventListener('abort', stopped);
    }
  }

  async #loop(step: () => Promise<void>): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await step();
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        this.o.onError(error);
        await this.#pause(200);
      }
    }
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#stop.signal }).catch(() => {});
  }

  /** Ends after what is under way; the stores stay open. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#running);
  }
}
