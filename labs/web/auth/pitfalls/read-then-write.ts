// Flaw: looks whether the token is unused, then uses it, without a lock: two processes both find it unused.
// Seen in: https://github.com/Bike4Mind/bike4mind/pull/1801
// Caught by: of two processes that use one token at once one gets a successor, and the other is a second use
import type { PoolClient } from 'pg';
import { RefreshTokens as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class RefreshTokens extends Reference {
  protected override row(tx: PoolClient, token: string) {
    return super.row(tx, token, '');
  }
}
