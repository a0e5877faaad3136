// Flaw: a worker that could not be initialized is replaced, for ever: the machine is busy, and everybody waits.
// Seen in: https://github.com/python/cpython/issues/87472
// Caught by: an initializer that fails breaks the pool once, and nobody waits
import { Executor as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Executor<T extends object> extends Reference<T> {
  protected override breakDown(cause: unknown): void {
    for (const place of this.places) if (place.state === 'starting') this.end(place, cause);
  }
}
