// Flaw: what has no way back is "undone" by doing nothing but taking out its note.
// Seen in: https://github.com/amacneil/dbmate/issues/164
// Caught by: what destroys data waits for its backup, and what can not be undone says so before anything is
import { type MigratorOptions, Migrator as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export const createMigrator = ({ migrations, ...options }: MigratorOptions) =>
  new Reference({
    ...options,
    migrations: migrations.map((each) => ({ ...each, down: 'irreversible' in each.down ? [] : each.down })),
  });
