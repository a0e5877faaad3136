// Flaw: whether a failure will pass is read from the error's text and the first figures of its code, so a handler's own is tried for ever.
// Seen in: https://github.com/pathosDev/actor-ts/issues/650
// Caught by: a handler that fails is told from a database that is away, whatever its error says
import type { Build } from '../src/builds.ts';
import type { NewEvent, Recorded } from '../src/event-store.ts';
import { PoisonEventError, Projector as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Projector<E extends NewEvent> extends Reference<E> {
  protected override async orPoison(build: Build, event: Recorded<E>, before: number, step: () => Promise<unknown>) {
    try {
      await step();
    } catch (cause) {
      const { message = '', code = '' } = Object(cause);
      if (/connection|not queryable/i.test(message) || /^(08|40|53|55|57|58|ECONN)/.test(String(code))) throw cause;
      throw new PoisonEventError(this.projection.name, { build: build.build, event, before, cause });
    }
  }
}
