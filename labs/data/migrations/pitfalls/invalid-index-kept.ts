// Flaw: IF NOT EXISTS finds the invalid index that a failed build has left, takes it for a good one, and notes it as done.
// Seen in: https://github.com/nightscout/nocturne/issues/1156
// Caught by: an index whose build failed is found and built again
import type { Run } from '../src/batch-update.ts';
import { type MigratorOptions, Migrator as Reference, type Step } from '../src/index.ts';
import { textOf } from '../src/migration.ts';

export * from '../src/index.ts';

export class Migrator extends Reference {
  protected override async step(run: Run, migration: string, step: Step) {
    if (typeof step === 'string' || 'backfill' in step) await super.step(run, migration, step);
    else await run.client.query(textOf(step).replace('CONCURRENTLY', 'CONCURRENTLY IF NOT EXISTS'));
  }
}

export const createMigrator = (options: MigratorOptions) => new Migrator(options);
