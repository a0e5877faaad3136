// Flaw: what is connected again hears twice: a module that is loaded under two paths sends two mails.
// Seen in: https://github.com/getsentry/sentry/pull/87571
// Caught by: one uid is connected once, for each sender; so is one function
import { type ConnectOptions, type Receiver, Signal as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Signal<Payload, Sender = unknown> extends Reference<Payload, Sender> {
  override connect(receiver: Receiver<Payload, Sender>, { sender }: ConnectOptions<Sender> = {}): Disposable {
    const options = { dispatchUid: Symbol('a new one'), ...(sender !== undefined && { sender }) };
    return super.connect((payload, from) => receiver(payload, from), options);
  }
}
