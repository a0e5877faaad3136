import { ManualClock } from '@shared/testkit';
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

/** A promise that a law may leave behind when it turns red half-way. */
export function begun<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
