/** Time as this cache sees it. Inject another one in a test; a product passes nothing. TTLs in Redis are Redis's own. */
export interface Clock {
  /** Milliseconds on a monotonic clock: it never jumps when an administrator or NTP sets the wall clock. */
  mono(): number;
}

export const systemClock: Clock = { mono: () => performance.now() };
