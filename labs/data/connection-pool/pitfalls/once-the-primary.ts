// Flaw: who is the primary is settled when the pool is made, so after a failover every write is refused until a restart.
// Seen in: https://github.com/brettwooldridge/HikariCP/issues/1802
// Caught by: a pool that was told the servers the wrong way round finds out with the first write
import { SplitPool as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class SplitPool extends Reference {
  protected override async findPrimary(): Promise<void> {}
}
