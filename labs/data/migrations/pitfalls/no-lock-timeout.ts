// Flaw: a change waits for its lock for as long as it takes, and everybody who wants the table queues behind it.
// Seen in: https://github.com/strelov1/freehire/pull/1284
// Caught by: a change that waits for its lock lets the writers by, and is tried until it has it
import type { Run } from '../src/batch-update.ts';
import { type MigratorOptions, Migrator as Reference, type Step } from '../src/index.ts';

export * from '../src/index.ts';

export class Migrator extends Reference {
  protected override async step(run: Run, migration: string, step: Step) {
    await run.client.query('SET lock_timeout = 0');
    await super.step(run, migration, step);
  }
}

export const createMigrator = (options: MigratorOptions) => new Migrator(options);
