// Flaw: an event that cannot be applied is passed over, and the read model is wrong from then on, silently.
// Seen in: https://github.com/JasperFx/marten/issues/1708
// Caught by: a poison event pauses its own projection, and no other
import type { NewEvent } from '../src/event-store.ts';
import { type PoisonEventError, Projector as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Projector<E extends NewEvent> extends Reference<E> {
  protected override async poisoned(which: 'live' | number, error: PoisonEventError): Promise<number> {
    const build = await this.builds.find(this.pool, which);
    if (build) await this.builds.advance(this.pool, build.build, error.position);
    return 1;
  }
}
