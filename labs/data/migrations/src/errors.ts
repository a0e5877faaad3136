import { inspect } from 'node:util';

/** Whatever this migrator refuses or reports. */
export class MigrationError extends Error {
  constructor(message: string, cause?: unknown) {
    super(`${message}${cause === undefined ? '' : `: ${cause instanceof Error ? cause.message : inspect(cause)}`}`, {
      cause,
    });
    this.name = new.target.name;
  }
}

/** An option or a migration that can't be meant. Nothing was run, or the step that showed it was undone. */
export class InvalidArgumentError extends MigrationError {}

/** What the database has noted as applied isn't what the list of migrations begins with. Nothing was run. */
export class HistoryError extends MigrationError {}

/** A step failed. In a transaction nothing is left of its migration; else `up` repeats what is not done. */
export class StepFailedError extends MigrationError {}

/** A lock was not had in any of the attempts: look in pg_stat_activity for what holds it. Nothing was changed. */
export class LockTimeoutError extends MigrationError {}

/** Rows are wrong. The migration, or the batch, was undone. */
export class VerificationError extends MigrationError {
  /** Five at most. */
  readonly counterexamples: readonly unknown[];

  constructor(what: string, counterexamples: readonly unknown[]) {
    super(`${what}: undone, since these rows are wrong: ${inspect(counterexamples, { maxStringLength: 200 })}`);
    this.counterexamples = counterexamples;
  }
}

/** What was to be undone was declared irreversible. Nothing was undone. */
export class IrreversibleError extends MigrationError {}

/** What destroys data was not begun, since the backup before it failed. */
export class BackupError extends MigrationError {}

/** Postgres was not to be had, or was lost half-way. What is noted stays: run it again. */
export class ConnectionLostError extends MigrationError {}
