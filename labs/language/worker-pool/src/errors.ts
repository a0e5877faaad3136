/** What was thrown, as a text. A symbol, an object without a prototype or a getter that throws is none by itself. */
export function inWords(thrown: unknown): string {
  try {
    return String(thrown instanceof Error ? thrown.message : thrown);
  } catch {
    return 'what can not be put in words';
  }
}

/** Every error of the pool itself; `instanceof PoolError` tells it from what a task threw. */
export abstract class PoolError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An option or an argument that no pool can work with. */
export class InvalidArgumentError extends PoolError {}

/** A future was started or settled in a state that doesn't allow it: settled twice, or after it was cancelled. */
export class InvalidStateError extends PoolError {}

/** The future was cancelled before its task had started. */
export class CancelledError extends PoolError {}

/** The task ran for longer than its `timeoutMs`; its worker was ended. */
export class TaskTimeoutError extends PoolError {}

/** `asCompleted` or `wait` had to wait for longer than `timeoutMs`. The tasks go on. */
export class WaitTimeoutError extends PoolError {}

/** `maxQueue` tasks are waiting already. Try again later, or let `map` keep the distance. */
export class QueueFullError extends PoolError {}

/** The pool was shut down: it takes nothing more. Also what ends a running task on `terminate()`. */
export class ShutdownError extends PoolError {}

/**
 * An input or a result that can't be copied to another thread or process, or not be read there: one that is nested some
 * thousand levels deep, for example. `cause` has the reason.
 */
export class UncloneableError extends PoolError {}

/** No worker can be had: its module or its initializer fails, or worker after worker dies. `cause` has the reason. */
export class BrokenPoolError extends PoolError {}

/** How a worker ended. */
export interface WorkerExit {
  /** Null when a signal ended the process, or when it could not be started. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** What nobody caught in a thread, or why the process could not be started. */
  readonly cause?: unknown;
}

/** The worker ended while it ran this task, and no other. The task may have had half of its effect. */
export class WorkerCrashedError extends PoolError {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;

  constructor(task: string, { code, signal, cause }: WorkerExit) {
    const how = signal ? `by the signal ${signal}` : `with code ${code}`;
    const why = cause === undefined ? '' : `: ${inWords(cause)}`;
    super(`The worker ended ${how} while it ran "${task}"${why}`, cause === undefined ? {} : { cause });
    this.exitCode = code;
    this.signal = signal;
  }
}

/** The thread had no memory left within its `resourceLimits`. (V8 ends a process with SIGABRT instead.) */
export class OutOfMemoryError extends WorkerCrashedError {}
