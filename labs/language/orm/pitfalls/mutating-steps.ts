// Flaw: a step changes the query that it was called on, so a base query that two reports share has the filters of both.
// Seen in: https://github.com/drizzle-team/drizzle-orm/issues/1397
// Caught by: building a query sends nothing, and each step leaves the one before as it was

import { type Database, type EntityClass, Model as Reference, QuerySet as Steps } from '../src/index.ts';
import { Query } from '../src/query-set.ts';

export * from '../src/index.ts';

class Mutating<M extends Reference> extends Steps<M> {
  constructor(db: Database, entity: EntityClass<M>, asked = new Query()) {
    super(db, entity, { ...asked });
  }
  protected override with(change: Partial<Query>): Steps<M> {
    Object.assign(this.asked, change);
    return super.with({});
  }
}

export class Model extends Reference {
  protected static override readonly querySet = Mutating;
}
