// Flaw: the version is looked up at the moment of writing, so a decision on an old state is written too.
// Seen in: https://github.com/CJSCommonPlatform/microservice_framework_version_6/issues/356
// Caught by: of several decisions on one version one is written
import type { PoolClient } from 'pg';
import type { Append, NewEvent } from '../src/event-store.ts';
import { PostgresEventStore as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class PostgresEventStore<E extends NewEvent> extends Reference<E> {
  protected override async insert(tx: PoolClient, entry: Append<E>): Promise<bigint> {
    const { rows } = await tx.query<{ version: number }>(
      `SELECT coalesce(max(version), 0) AS version FROM ${this.events} WHERE stream = $1`,
      [entry.stream],
    );
    return super.insert(tx, { ...entry, expectedVersion: rows[0]?.version ?? 0 });
  }
}
