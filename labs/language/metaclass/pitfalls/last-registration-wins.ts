// Flaw: a second class under the same key takes the place of the first, and nobody is told.
// Seen in: https://github.com/facebookresearch/mmf/issues/51
// Caught by: a key belongs to one class
import { Registry as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Registry<T extends object> extends Reference<T> {
  protected override isTaken(): boolean {
    return false;
  }
}
