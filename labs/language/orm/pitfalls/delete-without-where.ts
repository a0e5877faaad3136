// Flaw: a delete whose filter was forgotten empties the table.
// Seen in: https://github.com/drizzle-team/drizzle-orm/issues/1361
// Caught by: an update or a delete of everything has to be said
import { QuerySet, Model as Reference } from '../src/index.ts';

export * from '../src/index.ts';

class Unguarded<M extends Reference, A, R> extends QuerySet<M, A, R> {
  protected override assertNarrowed(): void {}
}

export class Model extends Reference {
  protected static override readonly querySet = Unguarded;
}
