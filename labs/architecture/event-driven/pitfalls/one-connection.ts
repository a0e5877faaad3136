// Flaw: events are published over the connection that consumes: a broker that is short of memory reads nothing more from
// who publishes, and so no acknowledgement that would empty its queues.
// Seen in: https://github.com/sensu/sensu-transport/issues/61
// Caught by: rabbit: a broker that is short of memory holds up who publishes, and nobody who consumes
import type { ConfirmChannel } from 'amqplib';
import { type Envelope, RabbitBus as Reference } from '../src/index.ts';
import type { Session } from '../src/rabbit-session.ts';

export * from '../src/index.ts';

export class RabbitBus extends Reference {
  #consuming: Session | undefined;

  protected override async resume(session: Session): Promise<void> {
    this.#consuming = session;
    await super.resume(session);
  }

  protected override send(channel: ConfirmChannel, event: Envelope, ticket: string, only?: string): Promise<void> {
    return super.send(this.#consuming?.publisher.channel ?? channel, event, ticket, only);
  }
}
