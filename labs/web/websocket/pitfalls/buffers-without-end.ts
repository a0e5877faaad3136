// Flaw: what a client doesn't read is kept for it, however much it is: one that stands still fills the server's memory.
// Seen in: https://github.com/websockets/ws/issues/1830
// Caught by: who reads too slowly fills no more than its share of memory, and is then closed with 1013
import { type Connection, ConsumerServer as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class ConsumerServer<User> extends Reference<User> {
  protected override write({ socket }: Connection<User>, frame: Buffer): void {
    socket.send(frame, { binary: false });
  }
}
