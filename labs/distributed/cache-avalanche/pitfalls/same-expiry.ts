// Flaw: B is given the time of A, so both run out together and the spare was never one.
// Seen in: https://github.com/StarpTech/apollo-datasource-http/issues/27
// Caught by: when A has run out, B answers everybody at once, and one process of all loads anew
import { DualCache as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class DualCache extends Reference {
  protected override ttlOf(): number {
    return super.ttlOf(this.a);
  }
}
