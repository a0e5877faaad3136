// Flaw: nack with requeue. The message is back at the head of the queue at once, thousands of times a second.
// Seen in: https://github.com/rabbitmq/rabbitmq-server/issues/1020
// Caught by: rabbit: a message that fails waits, comes again with its count, and ends among the dead with its reason
import { Rabbit as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Rabbit extends Reference {
  readonly #failed = new WeakSet<object>();

  protected override async setAside(...[message]: Parameters<Reference['setAside']>): Promise<void> {
    this.#failed.add(message);
  }

  protected override acknowledge(...[channel, message]: Parameters<Reference['acknowledge']>): void {
    if (this.#failed.has(message)) channel.nack(message, false, true);
    else super.acknowledge(channel, message);
  }
}
