// Flaw: only the class's own fields are collected: what a base class declares has no column.
// Seen in: https://github.com/typeorm/typeorm/issues/429
// Caught by: inherited fields are collected, and never reach a sibling through the base
import { type Column, ModelMeta, Model as Reference } from '../src/index.ts';
import { columnsOf } from '../src/meta.ts';

export * from '../src/index.ts';

class OwnOnly extends ModelMeta {
  protected override collect(): ReadonlyMap<string, Column> {
    return new Map(columnsOf(this.entity.prototype).map((column) => [column.name, column]));
  }
}

export class Model extends Reference {
  protected static override describe(): ModelMeta {
    // biome-ignore lint/complexity/noThisInStatic: the class that extends this one.
    return new OwnOnly(this);
  }
}
