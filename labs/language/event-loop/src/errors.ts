/** Every error of this lab; `instanceof EventLoopError` tells it from what your own functions throw. */
export abstract class EventLoopError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An option or an argument that nothing can be done with. */
export class InvalidArgumentError extends EventLoopError {}

/** The call belongs to another thread: it would freeze the main thread, or watch the wrong one. */
export class WrongThreadError extends EventLoopError {}

/** The thread ended before it had a result: `process.exit()`, or no memory left. */
export class ThreadEndedError extends EventLoopError {}

/** The mutex was not free within `timeoutMs`. */
export class LockTimeoutError extends EventLoopError {}

/** The thread waits for a mutex that it holds itself: nobody could ever free it. */
export class DeadlockError extends EventLoopError {}

/** The thread that held the mutex has died in the middle of its work: what the mutex guards may be half done. */
export class OwnerDiedError extends EventLoopError {}

/** The counter would leave the range of 32 bits. It is as it was. */
export class CounterRangeError extends EventLoopError {}

/** Node fires a timer beyond this at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** @throws InvalidArgumentError unless `value` is a number of milliseconds from `least` up that a timer can wait. */
export function checkMs(name: string, value: number, least: number): number {
  if (typeof value === 'number' && value >= least && value <= LONGEST_TIMER_MS) return value;
  throw new InvalidArgumentError(`${name} must be from ${least} to ${LONGEST_TIMER_MS}; it is ${String(value)}.`);
}
