// Flaw: says "reused" by an error thrown in the transaction, which undoes the family's end: the thief goes on.
// Seen in: https://github.com/Morelitea/initiative/pull/822
// Caught by: a used token that comes again ends its family: nobody can tell the owner from the thief
import type { PoolClient } from 'pg';
import { RefreshTokens as Reference, type Refreshed, RefreshRefusedError } from '../src/index.ts';

export * from '../src/index.ts';

export class RefreshTokens extends Reference {
  protected override async use(tx: PoolClient, token: string): Promise<Refreshed> {
    const answer = await super.use(tx, token);
    if (answer instanceof RefreshRefusedError) throw answer;
    return answer;
  }
}
