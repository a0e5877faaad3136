// Flaw: a value is written into the statement between quotes, so a quote in it ends it.
// Seen in: https://github.com/hiddentao/squel/issues/366
// Caught by: a hostile value stays a value, wherever a value goes
import { Compiler, QuerySet, Model as Reference } from '../src/index.ts';

export * from '../src/index.ts';

class Interpolating extends Compiler {
  protected override bind(value: unknown): string {
    return typeof value === 'string' ? `'${value}'` : super.bind(value);
  }
}

class Flawed<M extends Reference> extends QuerySet<M> {
  protected override compiler(): Compiler {
    return new Interpolating();
  }
}

export class Model extends Reference {
  protected static override readonly querySet = Flawed;
}
