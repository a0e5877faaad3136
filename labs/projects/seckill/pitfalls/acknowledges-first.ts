// Flaw: acknowledges an entry when it is taken, not when it is written.
// Seen in: XREADGROUP … NOACK, and auto-acknowledging consumers
// Caught by: a worker that dies with an entry, before or after it is written, leaves it to another
export * from '../src/index.ts';

import { OrderWorker as Sound } from '../src/index.ts';

export class OrderWorker extends Sound {
  protected override async handle(id: string, fields: readonly string[]): Promise<void> {
    await this.done(id);
    await super.handle(id, fields);
  }
}
