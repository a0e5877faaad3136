// Flaw: the connection comes back, the consumers don't: the queue fills, and nobody is told.
// Seen in: https://github.com/rafaeljesus/rabbus/pull/16
// Caught by: rabbit: after a broken connection a consumer comes back by itself, and what it had in hand has one effect
import { RabbitBus as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class RabbitBus extends Reference {
  protected override async resume(): Promise<void> {}
}
