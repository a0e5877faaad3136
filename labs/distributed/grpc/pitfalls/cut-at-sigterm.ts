// Flaw: the server closes its connections as soon as it is told to leave: calls under way die with it.
// Seen in: https://github.com/cloudflare/pingora/issues/388
// Caught by: a server that leaves loses no call
import { RpcServer as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class RpcServer extends Reference {
  protected override async leave(): Promise<number> {
    this.health.shutDown();
    this.listener.close();
    return this.cutOff();
  }
}
