import { Socket } from 'node:net';
import type { Client } from 'node-zookeeper-client';

// What node-zookeeper-client 1.1.3 does not do, and what no public method of it can do: give up a server that is silent,
// and begin a new connection without half a reply of the old one.

/**
 * Closes the present connection, whereupon the client tries the next server, unless it was told to close. True: there
 * is no connection. One that is still being made is left to the client's own limit.
 * @param notBefore Milliseconds, as of performance.now().
 */
export function dropConnection(client: Client, notBefore: number): boolean {
  const { socket } = inside(client);
  if (!(socket instanceof Socket) || socket.destroyed) return socket !== undefined;
  // Else its timer for this attempt would end the next one.
  if (!socket.connecting && performance.now() >= notBefore) socket.destroy();
  return false;
}

/** The client keeps the half of a reply that it has, even when the connection breaks, and would glue it to the next. */
export function forgetHalfReply(client: Client): void {
  const manager = inside(client);
  if ('pendingBuffer' in manager) manager.pendingBuffer = null;
}

function inside(client: Client): { socket?: unknown; pendingBuffer?: unknown } {
  const manager = 'connectionManager' in client ? client.connectionManager : undefined;
  return typeof manager === 'object' && manager !== null ? manager : {};
}
