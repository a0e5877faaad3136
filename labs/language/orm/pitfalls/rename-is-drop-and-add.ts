// Flaw: a diff is applied whatever it costs, so a renamed field loses its data.
// Seen in: https://github.com/typeorm/typeorm/issues/3357
// Caught by: a change that loses data needs to be allowed, and a rename is not guessed
import { type Change, type Database, apply as reference } from '../src/index.ts';

export * from '../src/index.ts';

export const apply = (db: Database, changes: readonly Change[]): Promise<void> =>
  reference(db, changes, { allowDestructive: true });
