/** What this lab throws and rejects with. */
export class HybridError extends Error {
  override readonly name: string = 'HybridError';
}

/** An argument that can't be meant: the message names it, its value, and what is accepted. */
export class InvalidArgumentError extends HybridError {
  override readonly name = 'InvalidArgumentError';
}

/** The task threw. Its error as it was there: an error's class does not travel, its texts do. */
export class TaskError extends HybridError {
  override readonly name = 'TaskError';
  readonly remote: RemoteError;
  constructor(remote: RemoteError) {
    super(`The task failed with ${remote.name}: ${remote.message}`);
    this.remote = remote;
  }
}

/** An error's texts. `code` is undefined when it has none that is a text. */
export interface RemoteError {
  readonly name: string;
  readonly message: string;
  readonly stack: string;
  readonly code: string | undefined;
}

/**
 * The process or thread in which the task ran has gone. Nobody knows how far the task had come, so it is not run again:
 * that is for who knows whether it may have its effect twice.
 */
export class WorkerLostError extends HybridError {
  override readonly name = 'WorkerLostError';
  readonly pid: number | undefined;
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  constructor(what: string, pid: number | undefined, exitCode: number | null, signal: NodeJS.Signals | null) {
    super(`${what} (process ${pid}) ended with ${signal ?? `exit code ${exitCode}`} while it ran the task.`);
    this.pid = pid;
    this.exitCode = exitCode;
    this.signal = signal;
  }
}

/** The input, or what the task returned, can't be copied to another process; `cause` says what in it. */
export class UncloneableError extends HybridError {
  override readonly name = 'UncloneableError';
}

/** No process can be had: the entry fails, or three in a row died before they were ready. `cause` has the last reason. */
export class BrokenHybridError extends HybridError {
  override readonly name = 'BrokenHybridError';
}

/** It is closing or closed, and takes nothing more. */
export class ClosedError extends HybridError {
  override readonly name = 'ClosedError';
}

/** It was closed, and the task was not done when `drainMs` were over. */
export class DrainTimeoutError extends HybridError {
  override readonly name = 'DrainTimeoutError';
}
