// Flaw: the version counts up, but no save looks at it, so the last one wins.
// Seen in: https://github.com/typeorm/typeorm/issues/2848
// Caught by: a save of stale data is refused and changes nothing
import { Model as Reference } from '../src/index.ts';
import { keyOf, metaOf } from '../src/meta.ts';

export * from '../src/index.ts';

export class Model extends Reference {
  protected override sameRow(): Readonly<Record<string, unknown>> {
    return { [metaOf(this).pk.name]: keyOf(this) };
  }
}
