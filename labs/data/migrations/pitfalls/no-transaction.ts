// Flaw: each statement commits by itself, so a migration that fails half-way leaves its first half, noted nowhere.
// Seen in: https://github.com/berenddeboer/ready-for-agent/pull/53
// Caught by: a migration is applied once, together with its note, or nothing of it is left
import type { Run } from '../src/batch-update.ts';
import { type Migration, type MigratorOptions, Migrator as Reference, type Step } from '../src/index.ts';

export * from '../src/index.ts';

export class Migrator extends Reference {
  protected override async go(run: Run, migration: Migration, steps: readonly Step[], note: () => Promise<void>) {
    await super.go(run, { ...migration, transaction: false }, steps, note);
  }
}

export const createMigrator = (options: MigratorOptions) => new Migrator(options);
