// Flaw: an applied migration is known by its name alone, so an edited one counts as applied, here and not elsewhere.
// Seen in: https://github.com/uptrace/bun/issues/832
// Caught by: an applied migration that was edited, moved or taken out is found before anything is run
import { HistoryError, type MigratorOptions, Migrator as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Migrator extends Reference {
  protected override applied(history: readonly { name: string }[]) {
    for (const [position, { name }] of history.entries()) {
      if (this.migrations[position]?.name !== name) throw new HistoryError(`${name} was applied in this place.`);
    }
    return this.migrations.slice(0, history.length);
  }
}

export const createMigrator = (options: MigratorOptions) => new Migrator(options);
