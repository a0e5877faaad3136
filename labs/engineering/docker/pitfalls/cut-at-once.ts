// Flaw: SIGTERM ends the process right after server.close(), so whoever waits for an answer gets none.
// Seen in: https://github.com/scality/cloudserver/issues/550
// Caught by: a request in flight gets its whole answer, and then the server has stopped
import { Drain as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Drain extends Reference {
  protected override async stopAccepting(): Promise<void> {
    void super.stopAccepting();
  }
}
