// Flaw: a confirm is taken for that of the oldest message. It may be for another one, or for many.
// Seen in: https://github.com/jwalton/node-amqp-connection-manager/issues/142
// Caught by: a confirm settles the message that it names, or all up to it, in any order
import { Confirms as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Confirms extends Reference {
  protected override settle(...[, , how]: Parameters<Reference['settle']>): void {
    const [oldest] = this.waiting;
    if (oldest === undefined) return;
    this.waiting.delete(oldest[0]);
    how(oldest[1]);
  }
}
