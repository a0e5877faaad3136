// Flaw: A is emptied first, so until B is emptied too a reader finds the old value there.
// Seen in: https://github.com/ZiggyCreatures/FusionCache/issues/613
// Caught by: an invalidation takes B before A: no reader finds the old value in B alone
import { DualCache as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class DualCache extends Reference {
  protected override async drop(key: string): Promise<void> {
    await this.a.drop(key);
    await this.b.drop(key);
  }
}
