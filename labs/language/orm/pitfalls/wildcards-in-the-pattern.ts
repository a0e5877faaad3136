// Flaw: a user's text goes into LIKE as it is, so his % finds every row.
// Seen in: https://github.com/ponyorm/pony/issues/50
// Caught by: percent, underscore and backslash in a pattern mean themselves
import { Compiler, QuerySet, Model as Reference } from '../src/index.ts';

export * from '../src/index.ts';

class Unescaped extends Compiler {
  protected override literal(text: string): string {
    return text;
  }
}

class Flawed<M extends Reference> extends QuerySet<M> {
  protected override compiler(): Compiler {
    return new Unescaped();
  }
}

export class Model extends Reference {
  protected static override readonly querySet = Flawed;
}
