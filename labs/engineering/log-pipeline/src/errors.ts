/** Every error of this pipeline. */
export abstract class LogPipelineError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An option or argument that nothing can be made of. */
export class InvalidOptionError extends LogPipelineError {}

/** A file that can't be opened, read or written; `cause` is the system's error. */
export class LogFileError extends LogPipelineError {}

/** The file of offsets holds something else than offsets. */
export class OffsetFileError extends LogPipelineError {}

/**
 * The index refuses the request itself, not a line of it: a wrong password, a missing right, the address of another
 * server. Nothing was put aside.
 */
export class IndexRefusedError extends LogPipelineError {
  readonly status: number;

  constructor(status: number, cause: unknown) {
    const advice = 'Look at the address, the user and its rights; no line is lost.';
    super(`The index answers ${status}: ${reasonOf(cause)}. ${advice}`, { cause });
    this.status = status;
  }
}

/** The store did not answer a search or a task. `cause` is the client's error. */
export class StoreError extends LogPipelineError {}

/** What is asked is no query. `column` counts from 1; `field` is the field that it is about, if any. */
export class QueryError extends LogPipelineError {
  readonly column: number;
  readonly field: string | undefined;

  constructor(message: string, column: number, field?: string) {
    super(`Column ${column}: ${message}`);
    this.column = column;
    this.field = field;
  }
}

export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** @throws InvalidOptionError unless `value` is a whole number from `least` to `most`. */
export function assertWhole(name: string, value: unknown, least: number, most: number): asserts value is number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
    throw new InvalidOptionError(`${name} is a whole number from ${least} to ${most}; it is ${inspected(value)}.`);
  }
}

/** @throws InvalidOptionError unless `value` is a text that files and indices can hold. */
export function assertPlainText(name: string, value: unknown): asserts value is string {
  if (typeof value !== 'string' || value === '' || value.includes('\0') || !value.isWellFormed()) {
    throw new InvalidOptionError(`${name} is a text without NUL, not empty; it is ${inspected(value)}.`);
  }
}

const inspected = (value: unknown) =>
  typeof value === 'string'
    ? JSON.stringify(value.slice(0, 80))
    : typeof value === 'number'
      ? String(value)
      : typeof value;
