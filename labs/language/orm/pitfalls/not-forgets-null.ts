// Flaw: exclude is NOT, and NOT of NULL is NULL, so rows of which nothing is known are excluded too.
// Seen in: https://github.com/prisma/orm/issues/3604
// Caught by: exclude keeps the rows of which nothing is known
import { Compiler, QuerySet, Model as Reference } from '../src/index.ts';

export * from '../src/index.ts';

class Negating extends Compiler {
  protected override negate(sql: string): string {
    return `NOT (${sql})`;
  }
}

class Flawed<M extends Reference> extends QuerySet<M> {
  protected override compiler(): Compiler {
    return new Negating();
  }
}

export class Model extends Reference {
  protected static override readonly querySet = Flawed;
}
