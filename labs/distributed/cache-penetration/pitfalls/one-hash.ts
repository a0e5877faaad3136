// Flaw: one hash, used k times: each id sets one bit instead of k, and ten times as many strangers pass.
// Seen in: https://github.com/data61/clkhash/issues/33
// Caught by: every id that was added passes, and of the strangers no more than half again the share asked for
import { LocalBloom as Reference } from '../src/index.ts';
import { Bitmap } from '../src/local-bloom.ts';

export * from '../src/index.ts';

class OneHash extends Bitmap {
  protected override step(): number {
    return 0;
  }
}

export class LocalBloom extends Reference {
  protected override bitmap(): Bitmap {
    return new OneHash(this.shape);
  }
}
