// Flaw: the name to order by goes into the statement as text, so a request parameter is SQL.
// Seen in: https://github.com/typeorm/typeorm/issues/7978
// Caught by: a hostile name is refused before anything is sent, wherever a name goes
import { Compiler, QuerySet, Model as Reference } from '../src/index.ts';

export * from '../src/index.ts';

class Trusting extends Compiler {
  override order(scope: Parameters<Compiler['order']>[0], names: readonly string[]): string {
    const terms = names.map((name) => `${scope.alias}.${name.replace(/^-/, '')}${name.startsWith('-') ? ' DESC' : ''}`);
    return terms.length > 0 ? ` ORDER BY ${terms.join(', ')}` : '';
  }
}

class Flawed<M extends Reference> extends QuerySet<M> {
  protected override compiler(): Compiler {
    return new Trusting();
  }
}

export class Model extends Reference {
  protected static override readonly querySet = Flawed;
}
