// Flaw: nack with requeue. The message is back at the head of the queue at once, thousands of times a second.
// Seen in: https://github.com/rabbitmq/rabbitmq-server/issues/1020
// Caught by: rabbit: a message that fails waits, comes again with its count, and ends among the dead with its reason
import { Rabbit as Reference } from '../src/index.ts';
import { received } from '../src/rabbit.ts';

export * from '../src/index.ts';

export class Rabbit extends Reference {
  protected override async work(...[channel, message, consumer, signal]: Parameters<Reference['work']>) {
    try {
      await consumer.handler(received(message), signal);
      if (!signal.aborted) channel.ack(message);
    } catch {
      if (!signal.aborted) channel.nack(message, false, true);
    }
  }
}
