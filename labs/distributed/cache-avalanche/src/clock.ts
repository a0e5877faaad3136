/** Time as this cache sees it. Inject another one in a test; a product passes nothing. */
export interface Clock {
  /** Milliseconds on a monotonic clock: it never jumps when an administrator or NTP sets the wall clock. */
  mono(): number;
  /**
   * Calls `callback` once, `ms` milliseconds from now, and returns a function that cancels it. A timer in the
   * `background` doesn't keep the process alive.
   */
  after(ms: number, callback: () => void, background?: 'background'): () => void;
}

export const systemClock: Clock = {
  mono: () => performance.now(),
  after(ms, callback, background) {
    const timer = setTimeout(callback, ms);
    if (background) timer.unref();
    return () => clearTimeout(timer);
  },
};
