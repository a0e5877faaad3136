// Flaw: what is to be prefetched is loaded for each object alone: N+1 queries, with the promise that it is not.
// Seen in: https://github.com/mikro-orm/mikro-orm/issues/266
// Caught by: a hundred books with their authors cost 1 query when joined, 2 when prefetched, 101 one by one
import { QuerySet, Model as Reference } from '../src/index.ts';
import { prefetch } from '../src/prefetch.ts';

export * from '../src/index.ts';

class OneByOne<M extends Reference, A, R> extends QuerySet<M, A, R> {
  protected override async finish(rows: readonly unknown[]): Promise<readonly R[]> {
    for (const row of rows) await prefetch(this.db, this.meta, [row], this.asked.prefetched);
    return rows as readonly R[];
  }
}

export class Model extends Reference {
  protected static override readonly querySet = OneByOne;
}
