// Flaw: no lock, so each instance of a service that starts finds the same migrations pending and runs them.
// Seen in: https://github.com/rails/rails/issues/22092
// Caught by: of those who migrate at once, one applies each migration
import { type MigratorOptions, Migrator as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Migrator extends Reference {
  protected override async lock() {}
}

export const createMigrator = (options: MigratorOptions) => new Migrator(options);
