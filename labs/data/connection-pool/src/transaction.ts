import { ConnectionLostError, RolledBackError } from './errors.ts';
import type { Lease } from './lease.ts';

export type Begin = 'BEGIN' | 'BEGIN READ ONLY' | 'BEGIN ISOLATION LEVEL SERIALIZABLE';

/** BEGIN, `body`, COMMIT; or ROLLBACK, and where that fails the pool sees it and ends the connection. */
export async function transact<T>(client: Lease, body: (tx: Lease) => Promise<T>, begin: Begin = 'BEGIN'): Promise<T> {
  await client.query(begin);
  let result: T;
  try {
    result = await body(client);
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  }
  const lost = client.member.broken;
  if (lost) throw new ConnectionLostError('undone', lost);
  const { command } = await client.query('COMMIT').catch((error: unknown) => {
    throw error instanceof ConnectionLostError ? new ConnectionLostError('unknown', error.cause) : error;
  });
  if (command === 'COMMIT') return result;
  throw new RolledBackError('a statement had failed and its error was caught: Postgres has rolled back');
}
