// Flaw: the new owner gets a copy of the list, and the old one keeps his: what was moved is closed with the first of them.
// Seen in: https://github.com/zloirock/core-js/issues/1226
// Caught by: popAll moves what a stack holds to a new owner
import { ExitStack as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class ExitStack extends Reference {
  override popAll(): ExitStack {
    const heir = new ExitStack();
    heir.exits = [...this.exits];
    return heir;
  }
}
