// Flaw: the line has no end, so a slow dependency turns into memory and into answers that nobody waits for.
// Seen in: https://github.com/vert-x3/vertx-mysql-postgresql-client/pull/143
// Caught by: a full queue refuses at once
import { Bulkhead as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Bulkhead extends Reference {
  protected override hasRoom(): boolean {
    return true;
  }
}
