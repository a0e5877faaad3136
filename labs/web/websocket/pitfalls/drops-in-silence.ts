// Flaw: what a slow client has no room for is left out, and it isn't told: it shows a conversation that never was.
// Seen in: https://github.com/jo-duchan/tapflow/issues/40
// Caught by: who reads too slowly fills no more than its share of memory, and is then closed with 1013
import { type Connection, ConsumerServer as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class ConsumerServer<User> extends Reference<User> {
  protected override write(connection: Connection<User>, frame: Buffer): void {
    if (connection.socket.bufferedAmount + frame.length <= this.maxBufferedBytes) super.write(connection, frame);
  }
}
