// Flaw: no prefetch. The first consumer gets the whole queue at once, and the others look on.
// Seen in: https://github.com/wagslane/go-rabbitmq/issues/113
// Caught by: rabbit: a consumer has no more messages in hand than its prefetch, and the others get the rest
import { Rabbit as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Rabbit extends Reference {
  protected override async begin(...[channel, queue, receive]: Parameters<Reference['begin']>) {
    return super.begin(channel, { ...queue, prefetch: 0 }, receive);
  }
}
