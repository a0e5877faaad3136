// Flaw: who waits for his turn does so inside pg_advisory_lock, a transaction, for whose end an index that is built waits.
// Seen in: https://github.com/flyway/flyway/issues/1654
// Caught by: who waits for his turn does not hold up an index that is built meanwhile
import type { PoolClient } from 'pg';
import { type MigratorOptions, Migrator as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Migrator extends Reference {
  protected override async lock(client: PoolClient) {
    await client.query("SELECT pg_advisory_lock(hashtext('migrations'), hashtext(current_schema()))");
  }
}

export const createMigrator = (options: MigratorOptions) => new Migrator(options);
