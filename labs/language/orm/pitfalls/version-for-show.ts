// Flaw: the version counts up, but no save looks at it, so the last one wins.
// Seen in: https://github.com/typeorm/typeorm/issues/2848
// Caught by: a save of stale data is refused and changes nothing
import { ModelMeta, Model as Reference } from '../src/index.ts';

export * from '../src/index.ts';

class Blind extends ModelMeta {
  override readonly version = undefined;
}

export class Model extends Reference {
  protected static override describe(): ModelMeta {
    // biome-ignore lint/complexity/noThisInStatic: the class that extends this one.
    return new Blind(this);
  }
}
