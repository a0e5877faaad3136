// Flaw: marked as published, for good, before the broker has it, so a failed publication is a lost event.
// Seen in: https://github.com/pipeshub-ai/pipeshub-ai/pull/3445
// Caught by: a failed publication stays in the outbox, and a later round takes it along
import type { PoolClient } from 'pg';
import { Relay as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Relay extends Reference {
  protected override async carry(client: PoolClient): Promise<number> {
    const waiting = await this.outbox.waiting(client, this.options.batch);
    await this.outbox.mark(client, waiting);
    await client.query('COMMIT');
    if (waiting.length > 0) await this.bus.publish(waiting.map(({ event }) => event));
    return waiting.length;
  }
}
