// Flaw: durations by the wall clock, which an administrator, NTP or a leap second moves.
// Seen in: https://github.com/leandromoreira/redlock-rb/issues/50
// Caught by: a wall clock that is set back does not lengthen a lease
import { systemClock } from '../src/clock.ts';
import { Redlock as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Redlock extends Reference {
  constructor(...[nodes, options]: ConstructorParameters<typeof Reference>) {
    super(nodes, { ...options, clock: { ...systemClock, mono: () => Date.now() } });
  }
}
