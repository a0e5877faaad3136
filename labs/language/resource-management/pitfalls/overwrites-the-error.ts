// Flaw: as try and finally do it: an exit that throws takes the place of the error of the body, which nobody ever sees.
// Seen in: https://github.com/jdbi/jdbi/issues/1474
// Caught by: when giving back fails too, both errors arrive
import { holding } from '../src/context.ts';
import type { Ending, Entered } from '../src/index.ts';
import { once } from '../src/once.ts';

export * from '../src/index.ts';

export function entered<T, A>(value: T, exit: (ending: Ending) => A | PromiseLike<A>): Entered<T, A> {
  return holding(value, once(exit));
}
