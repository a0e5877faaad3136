import { inspect } from 'node:util';

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

/** How a process or a thread has ended; `error` is what nobody caught in the thread, or why no process could be started. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly error?: RemoteError | undefined;
}

/**
 * The process or thread in which the task ran has gone. Nobody knows how far the task had come, so it is not run again:
 * that is for who knows whether it may have its effect twice.
 */
export class WorkerLostError extends HybridError {
  override readonly name = 'WorkerLostError';
  readonly pid: number | undefined;
  readonly exit: Exit;
  constructor(what: string, pid: number | undefined, exit: Exit) {
    const { code, signal, error } = exit;
    const why = error ? `: ${error.name}: ${error.message}` : '.';
    super(`${what} (process ${pid}) ended with ${signal ?? `exit code ${code}`}${why}`);
    this.pid = pid;
    this.exit = exit;
  }
}

/** The input, or what the task returned, can't be copied to another process; `cause` says what in it. */
export class UncloneableError extends HybridError {
  override readonly name = 'UncloneableError';
  constructor(what: string, cause: unknown) {
    super(`${what} can't be copied: ${readThrown(cause).message}`, { cause });
  }
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

/** @throws InvalidArgumentError unless it is a finite number from `least` to `most`, a whole one if `whole` says so. */
export function checkNumber(name: string, value: unknown, least: number, most: number, whole = false): number {
  if (typeof value === 'number' && value >= least && value <= most && (!whole || Number.isInteger(value))) return value;
  const kind = whole ? 'a whole number' : 'a number';
  throw new InvalidArgumentError(`${name} is ${inspect(value)}: it must be ${kind} from ${least} to ${most}.`);
}

/** An error's texts, whatever it was that was thrown: this never throws itself. */
export function readThrown(thrown: unknown): RemoteError {
  const nothing = { name: typeof thrown, stack: '', code: undefined };
  try {
    if (!(thrown instanceof Error)) return { ...nothing, message: String(thrown) };
    const code = 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : undefined;
    return { name: `${thrown.name}`, message: `${thrown.message}`, stack: `${thrown.stack}`, code };
  } catch {
    return { ...nothing, message: "what was thrown can't be read" };
  }
}
