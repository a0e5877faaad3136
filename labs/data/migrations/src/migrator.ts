import { inspect } from 'node:util';
import { DatabaseError, type Pool, type PoolClient } from 'pg';
import { type BatchOptions, backfill, type Run } from './batch-update.ts';
import { buildIndex } from './concurrent-index.ts';
import {
  BackupError,
  InvalidArgumentError,
  IrreversibleError,
  MigrationError,
  StepFailedError,
  VerificationError,
} from './errors.ts';
import { checkHistory, type Noted, openBooks, readHistory } from './history.ts';
import { checksumOf, defineMigration, destroys, type Migration, type Step, textOf, type Way } from './migration.ts';
import {
  atomically,
  gaveWay,
  keepSettings,
  type LockOptions,
  lockOptions,
  patiently,
  pause,
  withSession,
} from './session.ts';

export interface MigratorOptions extends LockOptions {
  readonly db: Pool;
  /** In their order. New ones are added at the end. */
  readonly migrations: readonly Migration[];
  /** Runs to its end before a migration that destroys data begins. */
  readonly backup?: (migration: Migration) => Promise<unknown>;
}

export interface RunOptions extends BatchOptions {
  /** A name. `up` applies this one last (default: the last of all); `down` goes back to it (default: undoes one). */
  readonly to?: string;
}

/** @throws InvalidArgumentError on options or migrations that can't be meant */
export const createMigrator = (options: MigratorOptions): Migrator => new Migrator(options);

/** Applies migrations in their order, each once, whoever else tries at the same time. */
export class Migrator {
  protected migrations: readonly Migration[];
  protected readonly options: MigratorOptions & Required<LockOptions>;

  constructor(options: MigratorOptions) {
    this.options = { ...options, ...lockOptions(options) };
    this.migrations = options.migrations.map(defineMigration);
    const names = this.migrations.map(({ name }) => name);
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (twice !== undefined) throw new InvalidArgumentError(`Two migrations are called ${twice}.`);
  }

  /** The dry run: what `up` would send, and whether a backup comes first. @throws what `up` throws before it runs a step */
  async plan({ to }: RunOptions = {}) {
    const pending = this.pending(await this.session(readHistory), to);
    return pending.map((each) => ({ name: each.name, steps: each.up.map(textOf), destroys: destroys(each, 'up') }));
  }

  /**
   * Applies what is pending, and returns the names. @throws HistoryError, StepFailedError, VerificationError,
   * LockTimeoutError, BackupError, ConnectionLostError, InvalidArgumentError, or the signal's reason: what was applied stays
   */
  up(options: RunOptions = {}): Promise<readonly string[]> {
    return this.alone(options, 'up', (history) => this.pending(history, options.to));
  }

  /** Undoes what was applied last, and returns the names. @throws IrreversibleError, and what `up` throws */
  down(options: RunOptions = {}): Promise<readonly string[]> {
    return this.alone(options, 'down', (history) => {
      const kept = options.to === undefined ? Math.max(0, history.length - 1) : this.end(options.to);
      return this.applied(history).slice(kept).toReversed().map(reversible);
    });
  }

  /** Each migration in its order. Without `appliedAt` it is pending. */
  async status() {
    const noted = new Map((await this.session(readHistory)).map(({ name, appliedAt }) => [name, appliedAt]));
    return this.migrations.map(({ name }) => ({ name, appliedAt: noted.get(name) }));
  }

  /** Asks the verifications again, for as long as you watch. What was destroyed since has taken its own along. */
  verify() {
    return this.session(async (client) => {
      const applied = this.applied(await readHistory(client));
      const from = applied.findLastIndex((migration) => destroys(migration, 'up'));
      const asked = applied.slice(Math.max(0, from)).filter(({ verify }) => verify);
      const results: { readonly name: string; readonly counterexamples: readonly unknown[] }[] = [];
      for (const each of asked) {
        const counterexamples = await patiently(this.options, each.name, () => this.counterexamples(client, each));
        results.push({ name: each.name, counterexamples });
      }
      return results;
    });
  }

  protected async apply(run: Run, migration: Migration): Promise<void> {
    const { name, up, transaction } = migration;
    const note = async () => {
      const wrong = await this.counterexamples(run.client, migration);
      if (wrong.length > 0) throw new VerificationError(name, wrong);
      const noted = [this.migrations.indexOf(migration), name, checksumOf(migration)];
      await run.client.query('INSERT INTO migration_history (position, name, checksum) VALUES ($1, $2, $3)', noted);
      const ours = await run.client.query(
        `SELECT FROM pg_class WHERE oid = to_regclass('migration_history')
         AND relnamespace = to_regnamespace(quote_ident(current_schema()))`,
      );
      if (ours.rows.length === 0)
        throw new InvalidArgumentError(`${name} puts another schema first in search_path: nobody would find its note.`);
    };
    try {
      await this.go(run, migration, up, note);
    } catch (error) {
      if (!(error instanceof VerificationError) || transaction) throw error;
      // Once it has begun, nobody can break it off half-way.
      const { signal: _, ...toItsEnd } = run;
      await this.undo(toItsEnd, migration).catch((reason: unknown) => {
        const wrong = inspect(error.counterexamples);
        throw new StepFailedError(
          `${name} is not undone, its way back failed, and these rows are wrong: ${wrong}`,
          reason,
        );
      });
      throw error;
    }
  }

  protected undo(run: Run, migration: Migration): Promise<void> {
    return this.go(run, migration, 'irreversible' in migration.down ? [] : migration.down, async () => {
      await run.client.query('DELETE FROM migration_batches WHERE name = $1', [migration.name]);
      await run.client.query('DELETE FROM migration_history WHERE name = $1', [migration.name]);
    });
  }

  /** All steps and the note of them, together or not at all; without a transaction, one by one, and the note at the end. */
  protected async go(run: Run, { name, transaction }: Migration, steps: readonly Step[], note: () => Promise<void>) {
    const putBack = await keepSettings(run.client);
    const step = (each: Step) => named(name, textOf(each), () => this.step(run, name, each));
    if (!transaction) {
      for (const each of steps) await patiently(run, name, () => step(each));
      await putBack();
    }
    const whole = async () => {
      for (const each of transaction ? steps : []) {
        await run.client.query('SAVEPOINT step');
        await step(each);
        await run.client.query('RELEASE SAVEPOINT step').catch((error: unknown) => {
          throw new InvalidArgumentError(`A step of ${name} ended its transaction: take out its COMMIT`, error);
        });
      }
      await putBack();
      await note();
    };
    await named(name, 'its note and COMMIT', () => patiently(run, name, () => atomically(run.client, whole)));
  }

  protected async step(run: Run, migration: string, step: Step): Promise<void> {
    if (typeof step === 'string') await run.client.query(step);
    else if ('index' in step) await buildIndex(run.client, step.index, run.lockTimeoutMs);
    else await backfill(run, migration, step.backfill);
  }

  protected async counterexamples(client: PoolClient, { name, verify }: Migration): Promise<readonly unknown[]> {
    if (verify === undefined) return [];
    const query = `SELECT * FROM (${verify.trim().replace(/;$/, '')}\n) AS wrong LIMIT 5`;
    return named(name, query, async () => (await client.query(query)).rows);
  }

  protected async backUp(migration: Migration): Promise<void> {
    await Promise.try(() => this.options.backup?.(migration)).catch((error: unknown) => {
      throw new BackupError(`${migration.name} was not begun, since its backup failed`, error);
    });
  }

  protected applied(history: readonly Noted[]): readonly Migration[] {
    checkHistory(history, this.migrations);
    return this.migrations.slice(0, history.length);
  }

  protected pending(history: readonly Noted[], to: string | undefined): readonly Migration[] {
    return this.migrations.slice(this.applied(history).length, this.end(to));
  }

  private end(to: string | undefined): number {
    const place = to === undefined ? this.migrations.length - 1 : this.migrations.findIndex(({ name }) => name === to);
    if (place < 0 && to !== undefined) throw new InvalidArgumentError(`The list of migrations has no ${to}.`);
    return place + 1;
  }

  private session<T>(body: (client: PoolClient) => Promise<T>): Promise<T> {
    return withSession(this.options.db, this.options.lockTimeoutMs, body).catch((error: unknown) => {
      throw error instanceof DatabaseError ? new MigrationError('Postgres refused what a run needs', error) : error;
    });
  }

  /** Goes one way while no other migrator of this database and schema goes any. */
  private alone(options: RunOptions, way: Way, choose: (history: readonly Noted[]) => readonly Migration[]) {
    return this.session(async (client) => {
      await this.lock(client, options.signal);
      await openBooks(client);
      const chosen = choose(await readHistory(client));
      const lost = chosen.find((migration) => destroys(migration, way));
      if (lost && !this.options.backup)
        throw new InvalidArgumentError(`${lost.name} destroys data: give a \`backup\`.`);
      for (const migration of chosen) {
        options.signal?.throwIfAborted();
        if (destroys(migration, way)) await this.backUp(migration);
        await this[way === 'up' ? 'apply' : 'undo']({ ...this.options, ...options, client }, migration);
      }
      return chosen.map(({ name }) => name);
    });
  }

  /** Asks again and again: a statement that waits is a transaction, for whose end an index that is built would wait. */
  protected async lock(client: PoolClient, signal: AbortSignal | undefined): Promise<void> {
    const ask = "SELECT pg_try_advisory_lock(hashtext('migrations'), hashtext(coalesce(current_schema(), ''))) AS mine";
    while (!(await client.query(ask)).rows[0]?.mine) await pause(20 + Math.random() * 30, signal);
  }
}

const named = <T>(migration: string, step: string, body: () => Promise<T>): Promise<T> =>
  body().catch((error: unknown) => {
    if (!(error instanceof DatabaseError) || gaveWay(error)) throw error;
    throw new StepFailedError(`${migration} failed in: ${step}`, error);
  });

function reversible(migration: Migration): Migration {
  if (!('irreversible' in migration.down)) return migration;
  throw new IrreversibleError(`${migration.name} can't be undone. ${migration.down.irreversible}`);
}
