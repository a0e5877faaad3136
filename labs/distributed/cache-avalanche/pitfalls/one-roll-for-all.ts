// Flaw: the offset is rolled once, when the cache is made: every key gets the same one, and all expire together, only later.
// Seen in: https://github.com/inet-framework/inet/issues/896 (a "random" offset that is the same each time)
// Caught by: keys that are stored together do not expire together
import { jitterTtl, TtlCache as Reference } from '../src/index.ts';

export * from '../src/index.ts';

const rolled = Math.random();

export class TtlCache extends Reference {
  protected override jitter(ttlMs: number, spread?: number): number {
    return jitterTtl(ttlMs, spread, () => rolled);
  }
}
