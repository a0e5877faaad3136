// Flaw: MOVED is followed and forgotten, so every command to a slot that has moved pays two round trips, for ever.
// Seen in: https://github.com/phpredis/phpredis/issues/1693
// Caught by: a command finds the node that has its slot, and of a slot that has moved it hears once
import { ClusterRouter as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class ClusterRouter extends Reference {
  protected override noteRedirection(): void {}
}
