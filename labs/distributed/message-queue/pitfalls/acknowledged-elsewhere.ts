// Flaw: acknowledged on the channel of now, not on the one that has delivered. After a reconnect the tag is another message's.
// Seen in: https://github.com/jwalton/node-amqp-connection-manager/issues/297
// Caught by: rabbit: an acknowledgement goes to the channel that has delivered, or to none
import { Rabbit as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Rabbit extends Reference {
  #channel: Parameters<Reference['work']>[0] | undefined;

  protected override begin(...[channel, queue, receive]: Parameters<Reference['begin']>) {
    this.#channel = channel;
    return super.begin(channel, queue, receive);
  }

  protected override async work(...[channel, message, consumer, signal]: Parameters<Reference['work']>) {
    await super.work(channel, message, consumer, signal);
    if (signal.aborted) this.#channel?.ack(message);
  }
}
