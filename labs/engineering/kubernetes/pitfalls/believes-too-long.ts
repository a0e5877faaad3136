// Flaw: a leader that cannot renew goes on leading: nobody has told it that it is over.
// Seen in: https://github.com/kubernetes/kubernetes/issues/23731
// Caught by: a leader that cannot renew has stopped before its successor begins
import { Candidate as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Candidate extends Reference {
  protected override believedUntil(asked: number): number {
    return asked + 86_400_000;
  }
}
