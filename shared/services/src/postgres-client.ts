import type { Client } from 'pg';

/** How long a server may take for an answer. */
export const ANSWER_MS = 3000;

/** One connection for as long as `act` runs. */
export async function withClient<T>(url: string, act: (client: Client) => Promise<T>): Promise<T> {
  // Loaded only where it is needed: an embedded server is started without it.
  const { default: pg } = await import('pg');
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: ANSWER_MS - 500 });
  client.on('error', () => {});
  try {
    await client.connect();
    return await act(client);
  } finally {
    // Not awaited: a server that hangs must not hang us.
    client.end().catch(() => {});
  }
}
