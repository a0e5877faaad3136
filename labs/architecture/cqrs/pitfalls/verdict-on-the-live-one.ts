// Flaw: what an instance has found out about its own build is written to the one that is live by then, which is healthy.
// Seen in: https://github.com/J-Tech-Japan/Sekiban/issues/1133
// Caught by: a verdict is about the build that failed, whichever is live by then
import type { NewEvent } from '../src/event-store.ts';
import { type PoisonEventError, Projector as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Projector<E extends NewEvent> extends Reference<E> {
  protected override async poisoned(which: 'live' | number, error: PoisonEventError): Promise<number> {
    if (which !== 'live') return super.poisoned(which, error);
    await this.pool.query(`UPDATE "${this.options.prefix}_builds" SET paused = $2 WHERE projection = $1 AND live`, [
      this.projection.name,
      error.message,
    ]);
    this.tell(error);
    return 0;
  }
}
