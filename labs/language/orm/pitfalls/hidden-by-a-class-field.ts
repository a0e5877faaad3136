// Flaw: a field without declare is let pass: the class sets it to undefined, over what the row holds.
// Seen in: https://github.com/sequelize/sequelize/issues/11326
// Caught by: a field without declare is refused, since it would hide what the row holds
import { ModelMeta, Model as Reference } from '../src/index.ts';

export * from '../src/index.ts';

class Unchecked extends ModelMeta {
  protected override checkDefinition(): void {}
}

export class Model extends Reference {
  protected static override describe(): ModelMeta {
    // biome-ignore lint/complexity/noThisInStatic: the class that extends this one.
    return new Unchecked(this);
  }
}
