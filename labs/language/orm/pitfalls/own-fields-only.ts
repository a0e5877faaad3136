// Flaw: only the class's own fields are collected: what a base class declares has no column.
// Seen in: https://github.com/typeorm/typeorm/issues/429
// Caught by: inherited fields are collected, and never reach a sibling through the base
import { ModelMeta, Model as Reference } from '../src/index.ts';
import { type Declared, declaredBy } from '../src/meta.ts';

export * from '../src/index.ts';

class OwnOnly extends ModelMeta {
  protected override collect(): ReadonlyMap<string, Declared> {
    return new Map(declaredBy(this.entity.prototype).map((each) => [each.name, each]));
  }
}

export class Model extends Reference {
  protected static override describe(): ModelMeta {
    // biome-ignore lint/complexity/noThisInStatic: the class that extends this one.
    return new OwnOnly(this);
  }
}
