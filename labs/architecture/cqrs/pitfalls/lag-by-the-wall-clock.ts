// Flaw: the lag is the time since the last event, so an idle shop seems to fall behind, and so does one whose clock is ahead.
// Seen in: https://github.com/mono424/sp00ky/pull/41
// Caught by: the lag grows with what waits, and an idle shop has none
import type { NewEvent, Recorded } from '../src/event-store.ts';
import { type Lag, Projector as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Projector<E extends NewEvent> extends Reference<E> {
  #last: Date | undefined;

  protected override commit(which: 'live' | number, events: readonly Recorded<E>[]): Promise<number> {
    this.#last = events.at(-1)?.at;
    return super.commit(which, events);
  }

  override async lag(): Promise<Lag> {
    const lag = await super.lag();
    return { ...lag, ms: this.#last ? Date.now() - this.#last.getTime() : lag.ms };
  }
}
