// Flaw: a condition that is undefined is left out, so a forgotten id finds, or deletes, everybody.
// Seen in: https://github.com/typeorm/typeorm/issues/2500
// Caught by: an undefined is refused everywhere
import { Compiler, Q, QuerySet, Model as Reference } from '../src/index.ts';

export * from '../src/index.ts';

class Forgetful extends Compiler {
  override where(...[scope, conditions]: Parameters<Compiler['where']>): string {
    const given = (condition: object) =>
      condition instanceof Q
        ? condition
        : Object.fromEntries(Object.entries(condition).filter(([, value]) => value !== undefined));
    const left = conditions.map(given).filter((condition) => Object.keys(condition).length > 0);
    return super.where(scope, left);
  }
}

class Flawed<M extends Reference> extends QuerySet<M> {
  protected override compiler(): Compiler {
    return new Forgetful();
  }
  // It counts conditions, and there is one.
  protected override assertNarrowed(): void {}
}

export class Model extends Reference {
  protected static override readonly querySet = Flawed;
}
