import { inspect } from 'node:util';

/** Every error of this library; `instanceof AsyncError` tells it from the errors of the work that it runs. */
export abstract class AsyncError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An argument that means nothing: a limit of 0, a time that is no number. */
export class InvalidArgumentError extends AsyncError {}

/** The reason of a signal whose work is no longer wanted: a sibling failed (`cause` is its error), or the consumer left. */
export class CancelledError extends AsyncError {}

/** The work took longer than it was given. It has ended when this is thrown, and what it held is free again. */
export class TimeoutError extends AsyncError {
  /** What was given, in milliseconds. */
  readonly ms: number;

  constructor(ms: number) {
    super(`Not done within ${ms} ms, and stopped. Give it more time, or less to do.`);
    this.ms = ms;
  }
}

/**
 * The work was told to stop and goes on: what it does from now on nobody waits for. `cause` is the reason that its signal
 * gave.
 */
export class UnresponsiveError extends AsyncError {
  readonly graceMs: number;

  constructor(graceMs: number, reason: unknown) {
    super(
      `Told to stop, the work was still running ${graceMs} ms later. Hand its signal on to whatever it awaits, ` +
        'or raise graceMs.',
      { cause: reason },
    );
    this.graceMs = graceMs;
  }
}

/** A task was spawned in a group that has ended: nobody would wait for it. */
export class GroupClosedError extends AsyncError {}

/** The channel was closed: nothing more can be put, or nothing is left to get. */
export class ChannelClosedError extends AsyncError {}

/** A condition was used without its lock. */
export class LockNotHeldError extends AsyncError {}

/** What went wrong in a group: `errors` has every failure, in the order of time, and no cancellation. Never empty. */
export class TaskGroupError extends AggregateError {
  constructor(errors: readonly unknown[]) {
    super(errors, `${errors.length === 1 ? 'A task' : `${errors.length} tasks`} failed. ${text(errors[0])}`);
    this.name = 'TaskGroupError';
  }
}

/** Anything can be thrown, also what throws when it is looked at: the failure must not be lost over its text. */
function text(thrown: unknown): string {
  try {
    return thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : inspect(thrown);
  } catch {
    return 'What it threw has no text.';
  }
}
