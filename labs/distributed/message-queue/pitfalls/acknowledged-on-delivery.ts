// Flaw: noAck. The broker forgets a message as soon as it has written it to the socket: who dies with it, loses it.
// Seen in: https://github.com/Particular/NServiceBus.RabbitMQ/issues/122
// Caught by: rabbit: what a consumer had in hand when it died comes to the next one
import { Rabbit as Reference } from '../src/index.ts';
import { received } from '../src/rabbit.ts';

export * from '../src/index.ts';

export class Rabbit extends Reference {
  protected override begin(...[channel, { name }, receive]: Parameters<Reference['begin']>) {
    return channel.consume(name, receive, { noAck: true });
  }

  protected override async work(...[, message, consumer, signal]: Parameters<Reference['work']>): Promise<void> {
    await consumer.handler(received(message), signal);
  }
}
