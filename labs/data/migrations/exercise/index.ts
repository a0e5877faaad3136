import { DatabaseError, type PoolClient } from 'pg';
import type { Run } from '../src/batch-update.ts';
import { quoted } from '../src/check.ts';
import { openBooks, readHistory } from '../src/history.ts';
import {
  type BackfillPlan,
  type BatchUpdateOptions,
  type BatchUpdateResult,
  defineMigration,
  type IndexPlan,
  InvalidArgumentError,
  type Migration,
  MigrationError,
  type MigratorOptions,
  type Progress,
  type RunOptions,
  type Step,
} from '../src/index.ts';
import { destroys, digest, textOf, type Way } from '../src/migration.ts';
import { lockOptions, pause, withSession } from '../src/session.ts';

// What is not the idea is given: definitions, options, errors, the connection of a run, the two tables in which it is noted
// what is done, and SQL for names and expressions. Begin with `go`: the first law needs nothing else. Errors that you throw
// are exported by src/errors.ts: add them to the import above. Files of src/ that are not imported here hold solutions.
// - new VerificationError(what, counterexamples). All others: (message, cause), and the cause's message is added.
// - `gaveWay(error)` and `pause(ms, signal)` of src/session.ts: 55P03 and the like; a sleep that an abort ends.
// - A Run has `client`, `lockTimeoutMs`, `lockAttempts` and `signal`. A Migration has `transaction` (true unless false was
//   given), `down` (steps, or `{ irreversible: reason }`). An IndexPlan has `name`, `table`, `columns`, `unique`.
export type * from '../src/index.ts';
export {
  BackupError,
  ConnectionLostError,
  defineMigration,
  HistoryError,
  InvalidArgumentError,
  IrreversibleError,
  LockTimeoutError,
  MigrationError,
  StepFailedError,
  VerificationError,
} from '../src/index.ts';

type History = Awaited<ReturnType<typeof readHistory>>;

export const createMigrator = (options: MigratorOptions): Migrator => new Migrator(options);

/** Applies migrations in their order, each once, whoever else tries at the same time. */
export class Migrator {
  protected readonly migrations: readonly Migration[];
  protected readonly options: MigratorOptions;

  constructor(options: MigratorOptions) {
    this.migrations = options.migrations.map(defineMigration);
    this.options = { ...options, ...lockOptions(options) };
  }

  /** Given: all that is pending, in its order, while nobody else is at it. */
  up(options: RunOptions = {}): Promise<readonly string[]> {
    return this.alone(options, 'up', (history) => this.pending(history, options.to));
  }

  /** Given, but for one thing: what may be among those that are to be undone? */
  down(options: RunOptions = {}): Promise<readonly string[]> {
    return this.alone(options, 'down', (history) => {
      const kept = options.to === undefined ? history.length - 1 : this.place(options.to) + 1;
      return this.applied(history).slice(Math.max(0, kept)).toReversed();
    });
  }

  /** Given: the dry run. */
  async plan({ to }: RunOptions = {}) {
    const pending = this.pending(await this.session(readHistory), to);
    return pending.map((each) => ({ name: each.name, steps: each.up.map(textOf), destroys: destroys(each, 'up') }));
  }

  /** Given. */
  async status() {
    const noted = new Map((await this.session(readHistory)).map(({ name, appliedAt }) => [name, appliedAt]));
    return this.migrations.map(({ name }) => ({ name, appliedAt: noted.get(name) }));
  }

  /** Given: asks the verifications again. */
  verify() {
    return this.session(async (client) => {
      const applied = this.applied(await readHistory(client));
      const from = applied.findLastIndex((migration) => destroys(migration, 'up'));
      const results: { readonly name: string; readonly counterexamples: readonly unknown[] }[] = [];
      for (const each of applied.slice(Math.max(0, from)).filter(({ verify }) => verify)) {
        results.push({ name: each.name, counterexamples: await this.counterexamples(client, each) });
      }
      return results;
    });
  }

  /** Given: goes one way. Does all of `chosen` have what it needs, before the first of them begins? */
  protected alone(options: RunOptions, way: Way, choose: (history: History) => readonly Migration[]) {
    return this.session(async (client) => {
      await this.lock(client, options.signal);
      await openBooks(client);
      const chosen = choose(await readHistory(client));
      for (const migration of chosen) {
        const run = { ...options, ...lockOptions(this.options), client };
        options.signal?.throwIfAborted();
        if (destroys(migration, way)) await this.backUp(migration);
        if (way === 'up') await this.apply(run, migration);
        else await this.undo(run, migration);
      }
      return chosen.map(({ name }) => name);
    });
  }

  /** Given, but for what a failed verification asks for: throw it before the note, and see what else must be undone. */
  protected async apply(run: Run, migration: Migration): Promise<void> {
    await this.go(run, migration, migration.up, () => this.note(run.client, migration));
  }

  /** Given. */
  protected undo(run: Run, migration: Migration): Promise<void> {
    return this.go(run, migration, 'irreversible' in migration.down ? [] : migration.down, async () => {
      await run.client.query('DELETE FROM migration_batches WHERE name = $1', [migration.name]);
      await run.client.query('DELETE FROM migration_history WHERE name = $1', [migration.name]);
    });
  }

  /**
   * Runs `step` for each of the steps, and `note`. With `transaction`, all of it in one, or nothing. Without, each step by
   * itself, and the note at the end. What Postgres says of a step becomes a StepFailedError, but for what `gaveWay` (src/session.ts).
   */
  protected go(_run: Run, _migration: Migration, _steps: readonly Step[], _note: () => Promise<void>): Promise<void> {
    return todo('go');
  }

  /** Runs `body` again while it `gaveWay` to others, `run.lockAttempts` times at most. (`withSession` has set lock_timeout.) */
  protected retry(_run: Run, body: () => Promise<void>): Promise<void> {
    return body();
  }

  /** Given: what kind of step is it? */
  protected async step(run: Run, migration: string, step: Step): Promise<void> {
    if (typeof step === 'string') await run.client.query(step);
    else if ('index' in step) await buildIndex(run.client, step.index, run.lockTimeoutMs);
    else await backfill(run, migration, step.backfill);
  }

  /** Given. */
  protected async note(client: PoolClient, migration: Migration): Promise<void> {
    const noted = [this.place(migration.name), migration.name, this.checksum(migration)];
    await client.query('INSERT INTO migration_history (position, name, checksum) VALUES ($1, $2, $3)', noted);
  }

  /** A text that tells two migrations apart that would do different things. `digest` is SHA-256, `textOf` a step as SQL. */
  protected checksum(_migration: Migration): string {
    return '';
  }

  /** The migrations that are applied, if `history` is what the list begins with; else a HistoryError. */
  protected applied(history: History): readonly Migration[] {
    return this.migrations.slice(0, history.length);
  }

  /** Given: what is not applied yet, up to and with `to`. */
  protected pending(history: History, to: string | undefined): readonly Migration[] {
    const end = to === undefined ? this.migrations.length : this.place(to) + 1;
    return this.migrations.slice(this.applied(history).length, end);
  }

  /** Given. */
  protected async counterexamples(client: PoolClient, { verify }: Migration): Promise<readonly unknown[]> {
    if (verify === undefined) return [];
    return (await client.query(`SELECT * FROM (${verify.trim().replace(/;$/, '')}\n) AS wrong LIMIT 5`)).rows;
  }

  /** Calls `this.options.backup`. */
  protected async backUp(_migration: Migration): Promise<void> {}

  /** Waits until no other migrator of this database runs. */
  protected async lock(_client: PoolClient, _signal: AbortSignal | undefined): Promise<void> {}

  private place(name: string): number {
    const place = this.migrations.findIndex((migration) => migration.name === name);
    if (place < 0) throw new InvalidArgumentError(`The list of migrations has no ${name}.`);
    return place;
  }

  private session<T>(body: (client: PoolClient) => Promise<T>): Promise<T> {
    return withSession(this.options.db, lockOptions(this.options).lockTimeoutMs, body).catch((error: unknown) => {
      throw error instanceof DatabaseError ? new MigrationError('Postgres refused what a run needs', error) : error;
    });
  }
}

/** Given: a backfill outside of any migration. */
export async function batchUpdate(options: BatchUpdateOptions): Promise<BatchUpdateResult> {
  textOf({ backfill: options });
  return withSession(options.db, lockOptions(options).lockTimeoutMs, async (client) => {
    await openBooks(client);
    return backfill({ ...options, ...lockOptions(options), client }, options.name, options);
  });
}

/** Given: the loop. Yours: `batch`, and where its progress is kept. */
async function backfill(run: Run, name: string, plan: BackfillPlan): Promise<BatchUpdateResult> {
  const job: Job = { name, plan: digest(textOf({ backfill: plan })), table: quoted(plan.table), key: quoted(plan.key) };
  const { goal, ...start } = await begin(run.client, job);
  for (let done: Progress = start; ; ) {
    const next = await batch(run.client, job, plan, goal, done);
    if (!next) return { rows: done.rows, resumedFrom: start.last || undefined };
    done = next;
    await run.onProgress?.(done);
    await pause(plan.pauseMs ?? 0, run.signal);
  }
}

interface Job {
  readonly name: string;
  readonly plan: string;
  /** Both are quoted: they can stand in a statement. */
  readonly table: string;
  readonly key: string;
}

/**
 * Given: where a job begins (`last` is '' at the beginning) and the last row that there is. Its row in `migration_batches`
 * (name, plan, last, goal, rows) is there from now on.
 */
async function begin(client: PoolClient, { name, plan, table, key }: Job) {
  const goal = `SELECT k::text FROM (SELECT ${key} AS k FROM ${table} ORDER BY ${key} DESC LIMIT 1) AS goal`;
  const job = `INSERT INTO migration_batches (name, plan, goal) VALUES ($1, $2, (${goal})) ON CONFLICT DO NOTHING`;
  await client.query(job, [name, plan]);
  const note =
    "SELECT rows::int, coalesce(last, '') AS last, goal FROM migration_batches WHERE name = $1 AND plan = $2";
  const { rows } = await client.query<Progress & { goal: string }>(note, [name, plan]);
  return rows[0] ?? { rows: 0, last: '', goal: '' };
}

/**
 * Writes the next `plan.size` rows, in the order of the key, after `done.last` and up to `goal`, and returns how far it is
 * now: rows in all, and the last key as text. Undefined: nothing was left. `expressionsOf(plan.transform)` of
 * src/migration.ts gives pairs of a column and its expression, ready for `SET`.
 */
async function batch(
  _client: PoolClient,
  _job: Job,
  _plan: BackfillPlan,
  _goal: string,
  _done: Progress,
): Promise<Progress | undefined> {
  return todo('batch');
}

/** Its flaw: a build that failed has left something. */
async function buildIndex(client: PoolClient, index: IndexPlan, lockTimeoutMs: number): Promise<void> {
  // An index waits for long transactions, and nobody queues behind it.
  await client.query('SET lock_timeout = 0');
  try {
    await client.query(textOf({ index }).replace('CONCURRENTLY', 'CONCURRENTLY IF NOT EXISTS'));
  } finally {
    await client.query(`SET lock_timeout = ${lockTimeoutMs}`);
  }
}

async function todo(method: string): Promise<never> {
  throw new Error(`${method} is not written yet: its comment in attempt/index.ts is the task.`);
}
