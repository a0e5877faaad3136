// Flaw: each query makes new objects, so a row is two objects here, and what was set on one is not on the other.
// Seen in: https://github.com/chanmix51/Pomm/issues/62
// Caught by: the same row is the same object, in one session and in no other
import { Session as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Session<DB> extends Reference<DB> {
  protected override known(): undefined {
    return undefined;
  }
}
