// Flaw: who wants to read his own write sleeps a little and hopes, and nobody tells him that it was in vain.
// Seen in: https://agentbeck.bot/report/24499
// Caught by: a reader sees what it wrote, or is told that it cannot
import { setTimeout as delay } from 'node:timers/promises';
import { type QueryOptions, Queries as Reference, type Tx } from '../src/index.ts';

export * from '../src/index.ts';

export class Queries extends Reference {
  override async query<T>(
    projection: { readonly name: string },
    ask: (db: Tx, table: string) => Promise<T>,
    { atLeast, ...options }: QueryOptions = {},
  ): Promise<T> {
    if (atLeast !== undefined) await delay(20);
    return super.query(projection, ask, options);
  }
}
