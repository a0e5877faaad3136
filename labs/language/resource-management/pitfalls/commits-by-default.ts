// Flaw: the end of the block commits what nobody has rolled back, so a throw half-way leaves half a transfer.
// Seen in: https://github.com/realm/realm-dotnet/issues/88
// Caught by: a transaction rolls back unless it was told to commit
import type { Pool } from 'pg';
import { transaction as reference } from '../src/index.ts';

export * from '../src/index.ts';

export async function transaction(pool: Pick<Pool, 'connect'>) {
  const tx = await reference(pool);
  return {
    query: tx.query.bind(tx),
    commit: tx.commit.bind(tx),
    async [Symbol.asyncDispose]() {
      await tx.commit();
      await tx[Symbol.asyncDispose]();
    },
  };
}
