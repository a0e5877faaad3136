import { Code, ConnectError } from '@connectrpc/connect';
import { LONGEST_TIMEOUT_MS, LONGEST_WAIT_MS, numberWithin } from './errors.ts';

/** How long whoever called us still waits, and how he leaves. Every handler is given one: its `HandlerContext`. */
export interface Caller {
  /** Aborts when he has hung up, or his time is over. */
  readonly signal: AbortSignal;
  /** Milliseconds that he still waits; undefined: he named no deadline. */
  timeoutMs(): number | undefined;
}

export interface PropagateOptions {
  /** Milliseconds of each hop's own: its answer has a way back to go. Default 5. */
  readonly marginMs?: number;
  /** Milliseconds for the calls of a caller who named no deadline. Default 10 000. */
  readonly defaultMs?: number;
}

/** What a call of a Connect client takes as its second argument. */
export interface Propagated {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/**
 * The options for calls that are made on behalf of `caller`: what is left of his time less a margin, and his signal.
 *
 * The deadline travels as a length of time (`grpc-timeout`), since the clocks of two machines differ: so it has to be
 * worked out anew for each call, and is a whole number of milliseconds, 27 hours at most. Connect takes 0 for "no deadline".
 * Source: https://grpc.io/docs/guides/deadlines/
 *
 * @throws ConnectError DEADLINE_EXCEEDED when nothing is left; the signal's reason when he has left already.
 * @throws BadRpcOptionError on a margin below 0, a default below 1.
 */
export function propagate(caller: Caller, options: PropagateOptions = {}): Propagated {
  const marginMs = numberWithin('marginMs', options.marginMs ?? 5, 0, LONGEST_WAIT_MS);
  const defaultMs = numberWithin('defaultMs', options.defaultMs ?? 10_000, 1, LONGEST_WAIT_MS);
  const { signal } = caller;
  signal.throwIfAborted();
  const left = caller.timeoutMs() ?? defaultMs + marginMs;
  const timeoutMs = Math.floor(Math.min(left - marginMs, LONGEST_TIMEOUT_MS));
  // NaN is no time either.
  if (!(timeoutMs >= 1)) throw tooLate(left);
  return { timeoutMs, signal };
}

const tooLate = (left: number) =>
  new ConnectError(
    `${left.toFixed(1)} ms are left of the caller's deadline: nobody else is asked.`,
    Code.DeadlineExceeded,
  );

/**
 * A caller where no call has come in: the start of a chain (a job, an HTTP request), whose steps share one deadline.
 * Its `signal` aborts `timeoutMs` milliseconds from now with a ConnectError DEADLINE_EXCEEDED, or when `signal` does,
 * with its reason. Dispose of it when the work is done: `using caller = withDeadline(200)`.
 *
 * @throws BadRpcOptionError on a time below 1 ms or beyond 24 days.
 */
export function withDeadline(timeoutMs: number, signal?: AbortSignal): Caller & Disposable {
  const deadline = performance.now() + numberWithin('timeoutMs', timeoutMs, 1, LONGEST_WAIT_MS);
  // Not AbortSignal.any: what is left on its signal stays for as long as the outer one lives.
  const over = new AbortController();
  const leave = () => over.abort(signal?.reason);
  const expire = () => over.abort(new ConnectError(`${timeoutMs} ms are over.`, Code.DeadlineExceeded));
  const timer = setTimeout(expire, timeoutMs);
  if (signal?.aborted) leave();
  signal?.addEventListener('abort', leave);
  return {
    signal: over.signal,
    timeoutMs: () => deadline - performance.now(),
    [Symbol.dispose]() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', leave);
    },
  };
}
