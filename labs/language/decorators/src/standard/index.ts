// The standard dialect (TC39, stage 3): needs no compiler option, and a compiler or loader that lowers it.
import { type CacheOptions, caching } from '../core/cache.ts';
import type { AsyncMethod } from '../core/method.ts';
import { type RetryOptions, retrying } from '../core/retry.ts';
import { timingOut } from '../core/timeout.ts';
import { type Timing, timing } from '../core/timing.ts';
import {
  type MemberDecorator,
  type MethodDecoratorOf,
  onMember,
  onMethod,
  onReader,
  type ReaderDecorator,
} from './decorate.ts';

export { compose, type MemberDecorator, type MethodDecoratorOf, type ReaderDecorator } from './decorate.ts';
export { requires } from './requires.ts';
export { buildRouter, route } from './route.ts';

/** Remembers results for each instance; see `caching` in core/cache.ts. */
export function cached(options: CacheOptions): ReaderDecorator {
  return onReader('cached', caching(options));
}

/** Calls again what rejected; see `retrying` in core/retry.ts. */
export function retry(options: RetryOptions): MethodDecoratorOf<AsyncMethod> {
  return onMethod('retry', retrying(options));
}

/** Rejects after `ms` milliseconds; see `timingOut` in core/timeout.ts. */
export function timeout(ms: number): MethodDecoratorOf<AsyncMethod> {
  return onMethod('timeout', timingOut(ms));
}

/** Tells how long each call took; see `timing` in core/timing.ts. */
export function timed(sink: (timing: Timing) => void): MemberDecorator {
  return onMember('timed', timing(sink));
}
