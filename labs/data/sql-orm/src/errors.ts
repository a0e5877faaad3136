import { inspect } from 'node:util';

/** What others have thrown or given, in words: it need not have a toString, or may throw there. */
export function shown(value: unknown): string {
  try {
    return value instanceof Error ? String(value) : inspect(value, { depth: 0, customInspect: false });
  } catch {
    return `a ${typeof value} that can't be shown`;
  }
}

/** Every error of this lab; what a listener throws is thrown on as it is. */
export abstract class SqlOrmError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** What no model, hybrid, row or statement can be made from. Nothing was sent. */
export class InvalidArgumentError extends SqlOrmError {}

/** JavaScript computed what Postgres refuses: a whole number beyond int8 (22003), a division by zero (22012). */
export class OutOfRangeError extends SqlOrmError {}

/** What the session can't do now: within a listener, beside another caller, after a failure, after its end. */
export class SessionStateError extends SqlOrmError {}

/** Rows that somebody else has changed or deleted since they were read. Nothing is written: decide anew in a new session. */
export class StaleError extends SqlOrmError {
  readonly keys: readonly unknown[];

  constructor(table: string, keys: readonly unknown[]) {
    super(`${table} ${keys.join(', ')}: changed or deleted since it was read. Read it in a new session, decide anew.`);
    this.keys = keys;
  }
}

/** Postgres refused a statement, or could not be asked. `code` is its SQLSTATE, `cause` the driver's error. */
export class StatementError extends SqlOrmError {
  readonly code: unknown;
  /** Whether the transaction may be in the database all the same: the answer to its COMMIT was lost. */
  readonly committed: 'no' | 'unknown';

  constructor(cause: unknown, committed: 'no' | 'unknown' = 'no') {
    const todo = committed === 'no' ? 'rollback()' : 'Its COMMIT has no answer: read before you repeat it';
    super(`${cause instanceof Error ? cause.message : shown(cause)}. ${todo}.`, { cause });
    this.code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    this.committed = committed;
  }
}

/** It is committed (or rolled back), and listeners that were told so have failed: `errors` has what each has thrown. */
export class ListenerError extends SqlOrmError {
  readonly errors: readonly unknown[];

  constructor(event: string, errors: readonly unknown[]) {
    super(`${errors.length} listener(s) of ${event}, which is done, failed: ${errors.map(shown).join('; ')}`, {
      cause: errors[0],
    });
    this.errors = errors;
  }
}
