// Flaw: the token's operation time is handed on without the cluster's: a server refuses to wait for a time it hasn't heard of.
// Seen in: https://github.com/powersync-ja/powersync-service/pull/710
// Caught by: who has the token of a write reads after it, in another process
import type { ClientSession, MongoClient } from 'mongodb';
import { resumeCausal as given } from '../src/index.ts';

export * from '../src/index.ts';

export function resumeCausal(client: MongoClient, ...tokens: readonly string[]): ClientSession {
  const { operationTime } = given(client, ...tokens);
  const session = client.startSession({ causalConsistency: true });
  if (operationTime !== undefined) session.advanceOperationTime(operationTime);
  return session;
}
