// Flaw: the own node is deleted by one request: if the connection breaks, it stays for as long as the session.
// Seen in: https://github.com/python-zk/kazoo/issues/732
// Caught by: who gives up leaves the queue, even if the connection breaks meanwhile
import { Locks as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Locks extends Reference {
  protected override persist<T>(attempt: () => Promise<T>, over?: AbortSignal): Promise<T> {
    return over ? super.persist(attempt, over) : attempt();
  }
}
