import { ManualClock, until } from '@shared/testkit';
import type { Clock } from '#lab';

/** A clock that stands still until the test moves it; `turn()` lets every promise that can go on without time go on. */
export function handClock() {
  const manual = new ManualClock();
  const clock: Clock = manual;
  return {
    clock,
    pass: (ms: number) => manual.advance(ms),
    turn: () => manual.advance(0),
    timers: () => manual.pending,
  };
}

/** How a promise ended; red after two seconds if it never does. May be asked for before anybody awaits it. */
export function outcome<T>(promise: Promise<T>): Promise<{ value: T | undefined; error: unknown }> {
  const ended = promise.then(
    (value) => ({ value, error: undefined }),
    (error: unknown) => ({ value: undefined, error }),
  );
  const inTime = until(() => ended, { timeoutMs: 2_000, what: 'the call to end' });
  inTime.catch(() => {});
  return inTime;
}

/** A promise that a law may leave behind when it turns red half-way. */
export function begun<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
