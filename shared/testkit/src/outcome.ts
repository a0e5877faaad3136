import { until } from './until.ts';

/** How a call ended: with a value, or with an error. */
export interface Outcome<T> {
  readonly value: T | undefined;
  readonly error: unknown;
}

/**
 * How `promise` ends. To be awaited whenever the law is ready for it: until then a rejection is nobody's fault.
 * @param timeoutMs Milliseconds within which it must end, as in `until`. Default 2000.
 * @throws {DeadlineError} when it has not ended by then: a call that hangs is a failing law, not a hanging suite.
 */
export function outcome<T>(promise: Promise<T>, timeoutMs = 2000): Promise<Outcome<T>> {
  const ended = promise.then(
    (value) => ({ value, error: undefined }),
    (error: unknown) => ({ value: undefined, error }),
  );
  const inTime = until(() => ended, { timeoutMs, what: 'the call to end' });
  inTime.catch(() => {});
  return inTime;
}
