// Flaw: whatever the log delivers is applied, though it delivers at least once and not always in order.
// Seen in: https://github.com/PacktPublishing/Hands-On-Domain-Driven-Design-with-.NET-Core/issues/17
// Caught by: events that come twice or in disorder do no harm
import type { PoolClient } from 'pg';
import type { Build } from '../src/builds.ts';
import type { NewEvent, Recorded } from '../src/event-store.ts';
import { Projector as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Projector<E extends NewEvent> extends Reference<E> {
  protected override async apply(tx: PoolClient, build: Build, events: readonly Recorded<E>[]): Promise<void> {
    for (const [before, event] of events.entries()) await this.handle(tx, build, event, before);
    await this.builds.advance(tx, build.build, events.at(-1)?.position ?? build.position);
  }
}
