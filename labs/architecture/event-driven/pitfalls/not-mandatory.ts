// Flaw: published without `mandatory`: what no queue takes is confirmed all the same, and gone.
// Seen in: https://github.com/amqp-node/amqplib/issues/492
// Caught by: rabbit: an event that no queue takes is an error, and stays in the outbox
import type { ConfirmChannel } from 'amqplib';
import { type Envelope, RabbitBus as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class RabbitBus extends Reference {
  protected override send(channel: ConfirmChannel, event: Envelope): Promise<void> {
    return new Promise((resolve, reject) => {
      const confirmed = (error: unknown) => (error ? reject(error) : resolve());
      channel.publish(
        `${this.prefix}all`,
        event.type,
        Buffer.from(JSON.stringify(event)),
        { persistent: true },
        confirmed,
      );
    });
  }
}
