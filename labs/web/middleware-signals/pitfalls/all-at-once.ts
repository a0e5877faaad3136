// Flaw: all receivers are told at once: the quick one is done before the one that was connected first.
// Seen in: https://github.com/bookshelf/bookshelf/issues/1765
// Caught by: receivers are told one after the other, in the order of connecting; who wants one sender hears that one alone
import { Signal as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Signal<Payload, Sender = unknown> extends Reference<Payload, Sender> {
  override send(payload: Payload, sender: Sender): Promise<unknown[]> {
    return Promise.all(this.connectionsFor(sender).map(({ receiver }) => receiver(payload, sender)));
  }
}
