// Flaw: how far it came is a variable, so a backfill that is killed begins at the first row again, each time.
// Seen in: https://github.com/kobotoolbox/kpi/pull/7312
// Caught by: a backfill that was killed goes on after its last batch
import type { Run } from '../src/batch-update.ts';
import { type MigratorOptions, Migrator as Reference, type Step } from '../src/index.ts';

export * from '../src/index.ts';

export class Migrator extends Reference {
  protected override async step(run: Run, migration: string, step: Step) {
    await run.client.query('DELETE FROM migration_batches WHERE name = $1', [migration]);
    await super.step(run, migration, step);
  }
}

export const createMigrator = (options: MigratorOptions) => new Migrator(options);
