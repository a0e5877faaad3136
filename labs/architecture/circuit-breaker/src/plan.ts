import { inspect } from 'node:util';
import type { Clock } from './clock.ts';
import { InvalidOptionError } from './errors.ts';
import { LONGEST_TIMER_MS, numberOf, shareOf, wholeNumberOf } from './options.ts';

/** The last `size` calls, or the last `size` milliseconds in `buckets` parts (default 10, at most 65,536). */
export type WindowOptions =
  | { readonly type: 'count'; readonly size: number }
  | { readonly type: 'time'; readonly size: number; readonly buckets?: number };

/** The defaults are those of Hystrix: half of at least 20 calls within 10 s, 5 s off, one probe. */
export interface BreakerOptions {
  /** For messages and metrics. Default "circuit". */
  readonly name?: string;
  /** What the rates are taken over. Default: the last 10,000 ms in 10 parts. */
  readonly window?: WindowOptions;
  /** Calls in the window before its rates mean anything: of one call, one failure is 100 %. Default 20. */
  readonly minCalls?: number;
  /** Share of failures that opens the circuit, above 0 and at most 1. Default 0.5. */
  readonly failureRate?: number;
  /** Milliseconds from which a call counts as slow, above 0. Default: none does. */
  readonly slowMs?: number;
  /** Share of slow calls that opens the circuit, above 0 and at most 1. Default 1. */
  readonly slowRate?: number;
  /** Milliseconds until the first probe; or a function of how often in a row it has opened: 1, 2, … Default 5,000. */
  readonly openMs?: number | ((times: number) => number);
  readonly halfOpen?: {
    /** Probes that decide together; no more than these are let through. Default 1. */
    readonly permits?: number;
    /** Share of failed or slow probes with which the circuit still closes, from 0 to below 1. Default 0. */
    readonly maxFailureRate?: number;
    /**
     * A probe that takes longer is cancelled and has failed, in milliseconds, also where `run` was given a longer limit.
     * Default: 5,000, or the breaker's `timeoutMs` if that is longer.
     */
    readonly probeTimeoutMs?: number;
  };
  /** Time limit of each call, in milliseconds; `run` may set another. Default: none. */
  readonly timeoutMs?: number;
  /**
   * Whether an error says that the dependency is unwell. A 404 or a declined card is an answer: it counts neither as a
   * failure nor as a success. Default: every error does. (Refusals by a policy and aborts by the caller never count.)
   */
  readonly isFailure?: (error: unknown) => boolean;
  readonly clock?: Clock;
}

/** The options, checked and complete. */
export interface Plan {
  readonly window: WindowOptions;
  readonly minCalls: number;
  readonly failureRate: number;
  readonly slowMs: number;
  readonly slowRate: number;
  readonly openMs: (times: number) => number;
  readonly permits: number;
  readonly maxFailureRate: number;
  readonly probeTimeoutMs: number;
  readonly timeoutMs: number;
  readonly isFailure: (error: unknown) => boolean;
}

/** @throws InvalidOptionError on a number that is none, or on a threshold that can never be met or always is. */
export function planOf(options: BreakerOptions): Plan {
  const { halfOpen = {}, isFailure = () => true } = options;
  const window: WindowOptions = { ...(options.window ?? { type: 'time', size: 10_000 }) };
  const inAll = Number.MAX_SAFE_INTEGER;
  if (!['count', 'time'].includes(window.type)) {
    throw new InvalidOptionError(`window.type must be 'count' or 'time'; it is ${inspect(window.type)}.`);
  }
  wholeNumberOf('window.size', window.size, 1, window.type === 'count' ? 2 ** 24 : inAll);
  if (window.type === 'time') {
    wholeNumberOf('window.buckets', window.buckets ?? 10, 1, Math.min(window.size, 2 ** 16));
  }
  const minCalls = wholeNumberOf('minCalls', options.minCalls ?? 20, 1, inAll);
  if (window.type === 'count' && minCalls > window.size) {
    throw new InvalidOptionError(
      `minCalls is ${minCalls}, but the window holds ${window.size} calls: it would never open. Lower minCalls.`,
    );
  }
  if (options.slowRate !== undefined && options.slowMs === undefined) {
    throw new InvalidOptionError('slowRate needs slowMs: from how many milliseconds is a call slow?');
  }
  if (options.slowMs === 0) {
    throw new InvalidOptionError('slowMs must be above 0, for no call takes less: leave it out if none is to be slow.');
  }
  const maxFailureRate = numberOf('halfOpen.maxFailureRate', halfOpen.maxFailureRate ?? 0, 0, 1);
  if (maxFailureRate === 1) throw new InvalidOptionError('halfOpen.maxFailureRate must be below 1: all may fail.');
  const { timeoutMs } = options;
  if (timeoutMs !== undefined) numberOf('timeoutMs', timeoutMs, 1, LONGEST_TIMER_MS);
  // A service that takes longer when it's well would else never be let back in.
  const probeTimeoutMs = halfOpen.probeTimeoutMs ?? Math.max(5_000, timeoutMs ?? 0);
  if (typeof isFailure !== 'function') throw new InvalidOptionError('isFailure must be a function of an error.');
  return {
    window,
    minCalls,
    failureRate: shareOf('failureRate', options.failureRate ?? 0.5),
    slowMs: options.slowMs === undefined ? Number.POSITIVE_INFINITY : numberOf('slowMs', options.slowMs, 0, inAll),
    slowRate: shareOf('slowRate', options.slowRate ?? 1),
    openMs: openMsOf(options.openMs ?? 5_000),
    permits: wholeNumberOf('halfOpen.permits', halfOpen.permits ?? 1, 1, inAll),
    maxFailureRate,
    probeTimeoutMs: numberOf('halfOpen.probeTimeoutMs', probeTimeoutMs, 1, LONGEST_TIMER_MS),
    timeoutMs: timeoutMs ?? Number.POSITIVE_INFINITY,
    isFailure,
  };
}

/** The first duration is checked now; a later one that is none, or that throws, must not end the outage. */
function openMsOf(openMs: number | ((times: number) => number)): (times: number) => number {
  const inAll = Number.MAX_SAFE_INTEGER;
  if (typeof openMs !== 'function') {
    const ms = numberOf('openMs', openMs, 0, inAll);
    return () => ms;
  }
  const first = numberOf('openMs(1)', openMs(1), 0, inAll);
  return (times) => {
    try {
      return numberOf('openMs', openMs(times), 0, inAll);
    } catch {
      return first;
    }
  };
}
