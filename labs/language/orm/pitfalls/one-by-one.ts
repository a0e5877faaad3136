// Flaw: what is to be prefetched is loaded for each object alone: N+1 queries, with the promise that it is not.
// Seen in: https://github.com/mikro-orm/mikro-orm/issues/266
// Caught by: a hundred books with their authors cost 1 query when joined, 2 when prefetched, 101 one by one
import { QuerySet, Model as Reference } from '../src/index.ts';
import { prefetch } from '../src/load.ts';

export * from '../src/index.ts';

class OneByOne<M extends Reference> extends QuerySet<M> {
  protected override async finish(rows: readonly M[]): Promise<readonly M[]> {
    for (const row of rows) await prefetch(this.db, this.meta, [row], this.asked.prefetched);
    return rows;
  }
}

export class Model extends Reference {
  protected static override readonly querySet = OneByOne;
}
