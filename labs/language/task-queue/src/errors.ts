/** Every error of this layer; `instanceof TaskQueueError` tells it from what a task itself throws. */
export abstract class TaskQueueError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The queue is closed: nothing is sent, taken back or opened any more. */
export class QueueClosedError extends TaskQueueError {
  constructor(name: string) {
    super(`The queue ${name} is closed in this process: open another one, or close it later.`);
  }
}

/** An argument that no task can be sent with. */
export class InvalidArgumentError extends TaskQueueError {}

/** The Redis may throw keys away when its memory is full, and a queue is made of keys. */
export class EvictionPolicyError extends TaskQueueError {
  constructor(policy: string) {
    super(
      `This Redis has maxmemory-policy ${policy}: at full memory it would drop jobs. Run CONFIG SET maxmemory-policy ` +
        'noeviction, or keep the queue on a Redis of its own.',
    );
  }
}

/** Throw it in a task (or extend it) where no retry can help: the film is black, the card is stolen. */
export class PermanentError extends TaskQueueError {}

/** The task failed for good: its attempts are used up, or it threw a PermanentError. `reason` is the last message. */
export class TaskFailedError extends TaskQueueError {
  readonly id: string;
  readonly reason: string;

  constructor(id: string, task: string | undefined, reason: string) {
    super(`Task ${task === undefined ? id : `${task} (${id})`} failed: ${reason}`);
    this.id = id;
    this.reason = reason;
  }
}

/** Nobody took the task before its `expires`, so it never ran. */
export class TaskExpiredError extends TaskFailedError {
  static readonly reason = 'expired before a worker took it';
}

/** The task was revoked. If it ran, its signal was aborted; if it waited, it is gone. */
export class TaskRevokedError extends TaskFailedError {
  // Not a word that a task might throw itself, of a card or a token.
  static readonly reason = 'taken back by revoke()';
}

/** Its last run was still going on at the `hardLimitMs` of a sandboxed task: its thread was ended. */
export class HardTimeLimitError extends TaskFailedError {
  static readonly reason = 'ended at its hard time limit';
}

/** The reason of `signal` when a task has run for longer than its `softLimitMs`. */
export class SoftTimeLimitError extends TaskQueueError {}

/**
 * The reason of `signal` when this worker has lost its lock on the task: it stood still for too long, and another
 * worker runs the task now.
 */
export class LockLostError extends TaskQueueError {}

/** No result within the time given to `get`. The task itself goes on. */
export class ResultTimeoutError extends TaskQueueError {}

/** Nobody knows this id: it was never sent, was revoked, or its result was removed after `keepResults`. */
export class UnknownTaskError extends TaskQueueError {}

/** What was thrown, as an Error that says why. Node gives one without a word where a connection is refused. */
export function asError(thrown: unknown): Error {
  if (thrown instanceof Error && thrown.message !== '') return thrown;
  const reasons = thrown instanceof AggregateError ? thrown.errors.map(String).join('; ') : '';
  const error = new Error(reasons || String(thrown), { cause: thrown });
  if (thrown instanceof Error && thrown.stack !== undefined) error.stack = thrown.stack;
  return error;
}
