// Flaw: a failed acquire leaves its keys, so the lock is blocked by nobody for a whole TTL.
// Seen in: https://github.com/leandromoreira/redlock-rb/issues/76
// Caught by: a failed acquire leaves no key on any node
import { Redlock as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Redlock extends Reference {
  protected override cleanUp(): void {}
}
