import { Socket } from 'node:net';
import type { Client } from 'node-zookeeper-client';

// What node-zookeeper-client 1.1.3 does not do, and what no public method of it can do: give up a server that is silent,
// and begin a new connection without half a reply of the old one.

/** Breaks the present connection, whereupon the client tries the next server. */
export function dropConnection(client: Client): void {
  const { socket } = inside(client);
  // One that is still being made is left to the client's own limit, whose timer would end the next one too.
  if (socket instanceof Socket && !socket.connecting) socket.destroy();
}

/**
 * On a code that it doesn't know (a newer server's) the client throws from inside of its socket's listener, which would end
 * the process, and forgets whose answer that was. `tell` hears of it instead; the connection is dropped, what it said
 * behind is lost. To be called before the client connects.
 */
export function guardReplies(client: Client, tell: (error: unknown) => void): void {
  const manager = inside(client);
  const { onSocketData } = manager;
  if (typeof onSocketData !== 'function') return;
  manager.onSocketData = (data: Buffer) => {
    try {
      onSocketData.call(manager, data);
    } catch (error) {
      forgetHalfReply(client);
      dropConnection(client);
      tell(error);
    }
  };
}

/** The client keeps the half of a reply that it has, even when the connection breaks, and would glue it to the next. */
export function forgetHalfReply(client: Client): void {
  const manager = inside(client);
  if ('pendingBuffer' in manager) manager.pendingBuffer = null;
}

/**
 * Closes the client for good: it says goodbye, and goes on trying to if nobody hears it.
 * @param graceMs How long the goodbye may take until the connection is broken.
 */
export async function closeClient(client: Client, graceMs: number): Promise<void> {
  const start = performance.now();
  let asked = false;
  // It has no event for this state.
  while (inside(client).state !== CLOSED && performance.now() - start < graceMs + LAST_MS) {
    const { socket } = inside(client);
    // It throws when it's closed before it has a socket.
    if (!asked && socket !== undefined) client.close();
    asked = socket !== undefined;
    if (performance.now() - start > graceMs && socket instanceof Socket) socket.destroy();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const CLOSED = -2;
/** Whatever has become of the client: it is not waited for any longer. */
const LAST_MS = 1_500;

function inside(client: Client): {
  socket?: unknown;
  pendingBuffer?: unknown;
  state?: unknown;
  onSocketData?: unknown;
} {
  const manager = 'connectionManager' in client ? client.connectionManager : undefined;
  return typeof manager === 'object' && manager !== null ? manager : {};
}
