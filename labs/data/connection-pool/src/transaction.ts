import { ConnectionLostError, RolledBackError, TransactionEndedError } from './errors.ts';
import type { Lease } from './lease.ts';

export type Begin = 'BEGIN' | 'BEGIN READ ONLY' | 'BEGIN ISOLATION LEVEL SERIALIZABLE';

/** BEGIN, `body`, COMMIT; or ROLLBACK, and where that fails the pool sees it and ends the connection. */
export async function transact<T>(client: Lease, body: (tx: Lease) => Promise<T>, begin: Begin = 'BEGIN'): Promise<T> {
  await client.query(begin).catch(lost('undone'));
  let result: T;
  try {
    result = await body(client);
  } catch (error) {
    await client.conclude('ROLLBACK').catch(() => {});
    throw error;
  }
  const { broken } = client.member;
  if (broken) throw new ConnectionLostError('undone', broken);
  if (client.pending === 0 && client.status === 'I') {
    throw new TransactionEndedError('the routine has ended its transaction itself: return from it, or throw');
  }
  const { command } = await client.conclude('COMMIT').catch(lost('unknown'));
  if (command === 'COMMIT') return result;
  throw new RolledBackError('a statement had failed and its error was caught: Postgres has rolled back');
}

const lost = (outcome: ConnectionLostError['outcome']) => (error: unknown) => {
  throw error instanceof ConnectionLostError ? new ConnectionLostError(outcome, error.cause) : error;
};
