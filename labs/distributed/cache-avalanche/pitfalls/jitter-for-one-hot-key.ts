// Flaw: jitter alone, where the crowd wants one key: whenever that one expires, everybody loads it.
// Seen in: https://github.com/dotCMS/core/issues/33287
// Caught by: one hot key under a crowd is one load
import { TtlCache as Reference } from '../src/index.ts';
import type { Answer } from '../src/read-through.ts';

export * from '../src/index.ts';

export class TtlCache extends Reference {
  protected override coalesce<T>(_key: string, fly: () => Promise<Answer<T>>): Promise<Answer<T>> {
    return fly();
  }
}
