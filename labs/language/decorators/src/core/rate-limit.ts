import { type Clock, systemClock } from './clock.ts';
import { RateLimitedError } from './errors.ts';
import { currentPrincipal } from './guard.ts';
import { type Behaviour, checkOption, isAsync } from './method.ts';

export interface RateLimitOptions {
  /** Calls let through at once, and per `perMs`. */
  readonly limit: number;
  /** Milliseconds in which a used-up limit is whole again. */
  readonly perMs: number;
  /** Who shares a limit, from the method's own arguments. Default: the principal's name; all who have none share one. */
  key?(...args: readonly unknown[]): string;
  /**
   * Callers remembered for each instance. Default 10,000. Above it, those whose limit is whole again are forgotten, then
   * whose last call is the longest ago: they begin anew.
   */
  readonly max?: number;
  readonly clock?: Pick<Clock, 'mono'>;
}

/** What is left for one key: a token bucket that fills steadily. */
interface Bucket {
  tokens: number;
  at: number;
}

/**
 * Lets through `limit` calls per `perMs`, for each caller of each instance. What is refused never reaches the method;
 * an async method rejects, any other throws. This process only: several share nothing.
 *
 * @throws RateLimitedError from the call; MisuseError on bad options.
 */
export function limiting(options: RateLimitOptions): Behaviour {
  const { limit, perMs, key = () => currentPrincipal()?.name ?? '', max = 10_000, clock = systemClock } = options;
  checkOption('limit of @rateLimit', limit, 1, Number.MAX_SAFE_INTEGER, true);
  checkOption('perMs of @rateLimit', perMs, Number.MIN_VALUE, Number.MAX_SAFE_INTEGER);
  checkOption('max of @rateLimit', max, 1, Number.POSITIVE_INFINITY, true);
  const perToken = perMs / limit;
  return (method, name) => {
    const instances = new WeakMap<object, Map<string, Bucket>>();
    const detached = {};
    return function (...args) {
      const owner = (typeof this === 'object' || typeof this === 'function') && this !== null ? this : detached;
      const buckets = instances.get(owner) ?? new Map<string, Bucket>();
      if (buckets.size === 0) instances.set(owner, buckets);
      const now = clock.mono();
      const wanted = key(...args);
      const bucket = buckets.get(wanted) ?? { tokens: limit, at: now };
      bucket.tokens = Math.min(limit, bucket.tokens + (now - bucket.at) / perToken);
      bucket.at = now;
      buckets.delete(wanted);
      buckets.set(wanted, bucket);
      if (buckets.size > max) forget(buckets, now - perMs, max);
      // Time comes in fractions: a bucket that is a billionth short is full enough.
      if (bucket.tokens < 1 - 1e-9) {
        const error = new RateLimitedError(name, (1 - bucket.tokens) * perToken);
        if (isAsync(method)) return Promise.reject(error);
        throw error;
      }
      bucket.tokens -= 1;
      return Reflect.apply(method, this, args);
    };
  };
}

/** In the order of their last use: the first that is younger ends it. */
function forget(buckets: Map<string, Bucket>, fullSince: number, max: number): void {
  for (const [key, { at }] of buckets) {
    if (at > fullSince && buckets.size <= max) return;
    buckets.delete(key);
  }
}
