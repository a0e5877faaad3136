// Flaw: nothing ends a transaction whose client is gone without a word: its lock is held until TCP gives up, hours later.
// Seen in: https://github.com/Tr3kkR/Yuzu/issues/3191
// Caught by: a relay whose connection to Postgres dies without a word is followed by another, comes back, and can be stopped
import type { PoolClient } from 'pg';
import { Relay as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Relay extends Reference {
  protected override async lock(client: PoolClient): Promise<boolean> {
    const mine = await super.lock(client);
    await client.query('SET LOCAL idle_in_transaction_session_timeout = 0');
    return mine;
  }
}
