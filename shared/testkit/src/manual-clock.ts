interface Sleeper {
  readonly at: number;
  readonly wake: () => void;
}

/**
 * A monotonic clock that moves only when the test says so: hand `mono` and `sleep` to code that takes its clock as an
 * argument, and hours pass in microseconds.
 */
export class ManualClock {
  #now = 0;
  #sleepers: Sleeper[] = [];

  /** Milliseconds since the clock was made. */
  readonly mono = (): number => this.#now;

  /** Resolves once the clock has been advanced by `ms`. Rejects with the signal's reason when aborted. */
  readonly sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const onAbort = (): void => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        reject(signal?.reason);
      };
      const sleeper: Sleeper = {
        at: this.#now + Math.max(0, ms),
        wake: () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#sleepers.push(sleeper);
    });

  /** Calls `callback` once the clock has been advanced by `ms`; the function that it returns cancels it. */
  readonly after = (ms: number, callback: () => void): (() => void) => {
    const cancel = new AbortController();
    this.sleep(ms, cancel.signal).then(callback, () => undefined);
    return () => cancel.abort();
  };

  /** How many sleeps have not ended yet. */
  get pending(): number {
    return this.#sleepers.length;
  }

  /**
   * Moves time on by `ms`. Sleepers wake in the order of their deadlines, each at its own instant, and what they start
   * may sleep again and wake within the same call.
   */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (let next = this.#due(end); next; next = this.#due(end)) {
      this.#now = next.at;
      this.#sleepers = this.#sleepers.filter((other) => other !== next);
      next.wake();
      await settle();
    }
    this.#now = end;
  }

  #due(end: number): Sleeper | undefined {
    return this.#sleepers
      .filter((sleeper) => sleeper.at <= end)
      .reduce<Sleeper | undefined>((first, each) => (first && first.at <= each.at ? first : each), undefined);
  }
}

/** One turn of the event loop: every promise chain that can move on without time has moved on. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
