// Flaw: every request counts, not only the misses, so the busiest customers are banned first.
// Seen in: https://github.com/samanhappy/mcphub/pull/1177
// Caught by: the miss at the limit bans, and no number of hits does
import { MissGuard as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class MissGuard extends Reference {
  protected override counts(): boolean {
    return true;
  }
}
