// Flaw: the queue has no bound: under overload everybody waits, and the memory fills with those who have left long ago.
// Seen in: https://github.com/coopernurse/node-pool/issues/108
// Caught by: a wait has an end: a full queue refuses at once, a timeout gives up, an abort leaves the queue
import { ConnectionPool as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class ConnectionPool extends Reference {
  protected override mayWait(): boolean {
    return true;
  }
}
