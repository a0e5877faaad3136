/** Looks at the clock this often, in milliseconds. */
const STEP_MS = 100;
/** Milliseconds that may pass uncounted, in all: a server that is built from its source takes a quarter of an hour. */
const UNCOUNTED_MS = 3_600_000;

/** Calls `late` once `ms` have passed in which the clock was not stopped. */
export class Deadline implements Disposable {
  readonly #timer: NodeJS.Timeout;

  /** @param isStopped whether what passes now does not count */
  constructor(ms: number, isStopped: () => boolean, late: () => void, uncountedMs = UNCOUNTED_MS) {
    const left = { counted: ms, uncounted: uncountedMs };
    let last = performance.now();
    this.#timer = setInterval(
      () => {
        const now = performance.now();
        left[isStopped() && left.uncounted > 0 ? 'uncounted' : 'counted'] -= now - last;
        last = now;
        if (left.counted > 0) return;
        this[Symbol.dispose]();
        late();
      },
      Math.min(STEP_MS, ms),
    );
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
