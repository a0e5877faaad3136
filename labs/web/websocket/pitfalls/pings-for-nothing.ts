// Flaw: pings go out, and nobody looks whether they are answered: a machine that has vanished is connected for ever.
// Seen in: https://github.com/aspnet/WebSockets/issues/90
// Caught by: who has not answered a ping until the next one is gone, and who has stays
import { ConsumerServer as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class ConsumerServer<User> extends Reference<User> {
  protected override beat(): void {
    for (const { socket } of this.connections) socket.ping();
  }
}
