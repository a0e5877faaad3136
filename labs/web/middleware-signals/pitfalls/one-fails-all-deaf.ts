// Flaw: the first receiver that fails keeps the others from hearing, in sendRobust too.
// Seen in: https://github.com/medikoo/event-emitter/issues/2
// Caught by: send ends at the first that fails; sendRobust tells everybody, and says what became of each
import { type Heard, Signal as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Signal<Payload, Sender = unknown> extends Reference<Payload, Sender> {
  override async sendRobust(payload: Payload, sender: Sender): Promise<Heard<Payload, Sender>[]> {
    const heard: Heard<Payload, Sender>[] = [];
    for (const { receiver } of this.connectionsFor(sender)) {
      try {
        heard.push({ receiver, value: await receiver(payload, sender) });
      } catch (error) {
        heard.push({ receiver, error });
        break;
      }
    }
    return heard;
  }
}
