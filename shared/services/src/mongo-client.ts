import type { Document, MongoClient } from 'mongodb';

/** How long a server may take for an answer. */
export const ANSWER_MS = 3000;

/** One client for as long as `act` runs. */
export async function withMongo<T>(url: string, act: (client: MongoClient) => Promise<T>): Promise<T> {
  // Loaded only where it is needed.
  const { MongoClient } = await import('mongodb');
  const client = new MongoClient(url, {
    serverSelectionTimeoutMS: ANSWER_MS - 500,
    connectTimeoutMS: ANSWER_MS - 500,
    socketTimeoutMS: ANSWER_MS,
    retryReads: false,
    retryWrites: false,
  });
  try {
    await client.connect();
    return await act(client);
  } finally {
    // Not awaited: a server that hangs must not hang us.
    client.close(true).catch(() => {});
  }
}

/** The answer of one server to one command to its database `admin`. */
export async function tell(url: string, command: Document): Promise<Document> {
  return withMongo(url, (client) => client.db('admin').command(command));
}
