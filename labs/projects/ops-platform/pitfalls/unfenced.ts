// Flaw: looks whether it leads before it writes, and not in the write: a pause in between makes two leaders.
// Seen in: schedulers that trust a lock with a TTL
// Caught by: of two controllers one leads, and what the paused one writes after its lease's end is refused
export * from '../src/index.ts';

import { Ops as Sound } from '../src/index.ts';

export class Ops extends Sound {
  override lead<T>(...[, write]: Parameters<typeof Sound.prototype.lead<T>>): Promise<T> {
    return this.run(write);
  }
}
