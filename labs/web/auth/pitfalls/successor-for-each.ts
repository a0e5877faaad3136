// Flaw: within the grace each use of the old token gives another successor: a thief gets a line of his own, and is never seen.
// Seen in: https://github.com/ory/docs/pull/1959
// Caught by: within the grace a used token is answered by the same successor, until that is used or the time is over
import type { PoolClient } from 'pg';
import { RefreshTokens as Reference, type Refreshed, RefreshRefusedError } from '../src/index.ts';
import { newSecret } from '../src/store.ts';

export * from '../src/index.ts';

export class RefreshTokens extends Reference {
  protected override async use(tx: PoolClient, token: string): Promise<Refreshed | RefreshRefusedError> {
    const row = await this.row(tx, token, 'FOR UPDATE');
    const answer = await super.use(tx, token);
    if (answer instanceof RefreshRefusedError || !row || row.salt === null) return answer;
    const another = newSecret();
    await this.add(tx, another, row.family);
    return { ...answer, token: another };
  }
}
