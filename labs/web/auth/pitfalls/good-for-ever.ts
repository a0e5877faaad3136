// Flaw: a refresh gives no new refresh token: whoever has stolen it once has it for ninety days, and nobody sees it.
// Seen in: https://github.com/FlowFuse/flowfuse/issues/8270
// Caught by: a refresh token is good once, and so is its successor; the store has none that would let anybody in
import type { PoolClient } from 'pg';
import { RefreshTokens as Reference, type Refreshed, RefreshRefusedError } from '../src/index.ts';

export * from '../src/index.ts';

export class RefreshTokens extends Reference {
  protected override async use(tx: PoolClient, token: string): Promise<Refreshed | RefreshRefusedError> {
    const row = await this.row(tx, token, 'FOR UPDATE');
    if (row === undefined) return new RefreshRefusedError('unknown');
    if (row.ended || row.expired) return new RefreshRefusedError(row.ended ? 'revoked' : 'expired');
    return { token, sub: row.sub };
  }
}
