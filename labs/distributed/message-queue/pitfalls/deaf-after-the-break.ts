// Flaw: the connection comes back, the consumers don't: the queue fills, and nobody is told.
// Seen in: https://github.com/sstone/amqp-client/issues/30
// Caught by: rabbit: what is sent while the connection breaks again and again arrives, and is handled
import { Rabbit as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Rabbit extends Reference {
  readonly #served = new Set<unknown>();

  protected override async serve(...[session, consumer]: Parameters<Reference['serve']>): Promise<void> {
    if (this.#served.has(consumer)) return;
    this.#served.add(consumer);
    await super.serve(session, consumer);
  }
}
