// Flaw: all that is pending is applied with the first release, so the old column goes while old code still writes it.
// Seen in: https://github.com/langwatch/langwatch/pull/4073
// Caught by: no clerk is refused and no write is lost from expand to contract
import { type MigratorOptions, Migrator as Reference, type RunOptions } from '../src/index.ts';

export * from '../src/index.ts';

export class Migrator extends Reference {
  override up({ to: _, ...options }: RunOptions = {}) {
    return super.up(options);
  }
}

export const createMigrator = (options: MigratorOptions) => new Migrator(options);
