// Flaw: what is no JSON throws in the socket's listener, where nobody catches: one client ends the process, and with it all.
// Seen in: https://github.com/share/sharedb/issues/191
// Caught by: a message that is too long closes its sender with 1009, one that is no JSON with 1007, and nobody else
import { type Connection, type JsonValue, ConsumerServer as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class ConsumerServer<User> extends Reference<User> {
  protected override parse(_connection: Connection<User>, data: string): { content: JsonValue } {
    return { content: JSON.parse(data) };
  }
}
