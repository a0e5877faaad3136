// Flaw: the client takes the log's lock, and every step until the commit travels to it and back: whoever stands still there stops all.
// Seen in: https://github.com/Tr3kkR/Yuzu/issues/3191
// Caught by: a writer that stands still holds nobody up, and its append is one step
import type { Append, NewEvent } from '../src/event-store.ts';
import { ConflictError, PostgresEventStore as Reference } from '../src/index.ts';
import { exactly, inTransaction } from '../src/transaction.ts';

export * from '../src/index.ts';

export class PostgresEventStore<E extends NewEvent> extends Reference<E> {
  override append({ stream, expectedVersion, events, commandId }: Append<E>): Promise<bigint> {
    return inTransaction(this.pool, async (tx) => {
      await tx.query("SELECT pg_advisory_xact_lock(hashtext('cqrs log'), hashtext($1))", [this.name]);
      const { rows } = await tx.query<{ position: bigint }>(
        exactly(
          `INSERT INTO ${this.events} (stream, version, type, data)
           SELECT $1, $2::int + n, event->>'type', event->'data'
           FROM jsonb_array_elements($3) WITH ORDINALITY AS given(event, n)
           WHERE (SELECT coalesce(max(version), 0) FROM ${this.events} WHERE stream = $1) = $2::int
           ORDER BY n RETURNING position`,
          [stream, expectedVersion, JSON.stringify(events)],
        ),
      );
      const position = rows.at(-1)?.position;
      const note = `INSERT INTO ${this.commands} SELECT $1, $2 WHERE $2::bigint IS NOT NULL ON CONFLICT DO NOTHING`;
      const { rowCount } = await tx.query(note, [commandId, position]);
      if (position === undefined || rowCount === 0) throw new ConflictError(`${stream} has moved on.`);
      return position;
    });
  }
}
