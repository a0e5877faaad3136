// Flaw: the relay's lock has a fixed name: while one relay waits for its broker, that of another outbox stands still, and
// so does who writes an event whose key has that name.
// Seen in: https://github.com/abpframework/abp/pull/17446
// Caught by: a relay that hangs holds up no writer, and no other outbox
import type { PoolClient } from 'pg';
import { Relay as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Relay extends Reference {
  protected override async lock(client: PoolClient): Promise<boolean> {
    const { rows } = await client.query<{ mine: boolean }>(
      "SELECT pg_try_advisory_xact_lock(hashtext('relay')) AS mine",
    );
    return rows[0]?.mine ?? false;
  }
}
