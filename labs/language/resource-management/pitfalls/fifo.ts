// Flaw: gives back in the order of taking: the house is closed while the locker in it is still open.
// Seen in: https://github.com/nicojs/typed-inject/pull/3
// Caught by: a stack gives back the last first, and a failure stops none of them
import { type Ending, ExitStack as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class ExitStack extends Reference {
  protected override unwind(ending: Ending) {
    this.exits.reverse();
    return super.unwind(ending);
  }
}
