// Flaw: a bulk update tells nobody, so an audit made of row events misses all of its rows, and objects read before are stale.
// Seen in: https://github.com/sqlalchemy/sqlalchemy/issues/9339
// Caught by: a bulk update is heard as such, not row by row, and whoever has read the rows finds out
import { Session as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Session<DB> extends Reference<DB> {
  protected override async bulkDone(): Promise<void> {}
}
