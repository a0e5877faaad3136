import type { Pool } from 'pg';
import type {
  Change,
  Db,
  Expected,
  Patch,
  RetryOptions,
  TransactionOptions,
  VersionedRow,
  VersionedTable,
} from '../src/index.ts';

// Yours are the seven functions below, a few lines each. Given, in src/: the table and its names (`VersionedTable`), the
// errors (an editor shows what their constructors take), `readVersioned`, `deleteVersioned`, `transaction` (BEGIN to COMMIT, ROLLBACK on whatever is thrown), `isConflict`
// and `etagOf`. Import what you need from '../src/index.ts'; the re-exports below bring no name into this file.
//
// Don't look up the seven in src/ before you have tried. `h` in `pnpm lab learn optimistic-lock` gives a hint.
export {
  type Change,
  type Column,
  ConnectionLostError,
  type Db,
  deleteVersioned,
  type Expected,
  etagOf,
  InvalidArgumentError,
  type IsolationLevel,
  isConflict,
  LockTimeoutError,
  NotFoundError,
  type Patch,
  PreconditionRequiredError,
  RetriesExhaustedError,
  type RetryOptions,
  RolledBackError,
  readVersioned,
  runTransaction,
  StaleVersionError,
  type TransactionOptions,
  TransactionOverError,
  VersionError,
  type VersionedRow,
  VersionedTable,
  WriteWithheldError,
} from '../src/index.ts';

/**
 * Changes the row if it is still at an expected version, and moves its version on by one. `expected` is a version, several of
 * which one will do, or '*': any.
 *
 * Given: `table.name` and `table.selection` (what to return), both quoted; `table.assign(patch, 3)` gives `sql`, the
 * assignments whose parameters begin at $3, and their `values`.
 *
 * @returns the row as it was written
 * @throws StaleVersionError when somebody was faster, NotFoundError when there is no such row
 */
export function updateVersioned<Row extends VersionedRow>(
  _db: Db,
  _table: VersionedTable<Row>,
  _id: Row['id'],
  _expected: Expected,
  _patch: Patch<Row>,
): Promise<Row> {
  return todo('updateVersioned');
}

/** Changes many rows whatever their versions are: whoever has read one of them before is stale. @returns the rows as written */
export function updateMany<Row extends VersionedRow>(
  _db: Db,
  _table: VersionedTable<Row>,
  _ids: readonly Row['id'][],
  _patch: Patch<Row>,
): Promise<Row[]> {
  return todo('updateMany');
}

/**
 * Runs `run` again while it meets other writers. Before the n-th retry it waits for a random part of `baseMs` · 2ⁿ⁻¹, at most
 * `capMs`. `run` gets the number of its attempt, from 1. Given: `isConflict`. Defaults: `max` 10 attempts in all, `baseMs` 5,
 * `capMs` 500, `random` Math.random, `sleep` a timer (`setTimeout` of node:timers/promises), which `signal` ends.
 *
 * @throws RetriesExhaustedError after `max` attempts, with the last conflict as its cause; whatever else `run` throws, as it came
 */
export function withRetry<T>(_run: (attempt: number) => Promise<T>, _options: RetryOptions = {}): Promise<T> {
  return todo('withRetry');
}

/** Optimistic: read, decide, write if nobody was faster; else all of it again. @returns the row as it was written */
export function modify<Row extends VersionedRow>(
  _pool: Pool,
  _table: VersionedTable<Row>,
  _id: Row['id'],
  _change: Change<Row>,
  _options?: RetryOptions,
): Promise<Row> {
  return todo('modify');
}

/**
 * Pessimistic: the row's lock first, then decide and write. `change` is asked once. Given: `transaction`.
 *
 * @throws NotFoundError, and what `change` throws
 */
export function modifyLocked<Row extends VersionedRow>(
  _pool: Pool,
  _table: VersionedTable<Row>,
  _id: Row['id'],
  _change: Change<Row>,
  _options?: TransactionOptions,
): Promise<Row> {
  return todo('modifyLocked');
}

/** Runs `body` as if it were alone, and anew when it wasn't. Given: `transaction`, and your `withRetry`. */
export function serializable<T>(
  _pool: Pool,
  _body: (tx: Db) => Promise<T>,
  _options: RetryOptions & Omit<TransactionOptions, 'isolation'> = {},
): Promise<T> {
  return todo('serializable');
}

/**
 * What an If-Match header asks for, as `updateVersioned` takes it: '*', or the versions in its list of entity tags. `etagOf(3)`
 * is `"3"`. An entity tag is `"…"` or, weak, `W/"…"`; anything but a quotation mark may stand inside.
 *
 * @throws PreconditionRequiredError without the header
 */
export function ifMatch(_header: string | undefined): readonly number[] | '*' {
  throw new Error('ifMatch is not written yet: its comment in attempt/index.ts is the task.');
}

async function todo(name: string): Promise<never> {
  throw new Error(`${name} is not written yet: its comment in attempt/index.ts is the task.`);
}
