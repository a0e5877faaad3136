// Flaw: a rebuild starts from the database alone, which doesn't show what was added but isn't committed yet.
// Seen in: https://github.com/formancehq/ledger/pull/1432
// Caught by: an id that was added before a rebuild and committed during it is not lost
import { SharedBloom as Reference, type SharedBloomOptions } from '../src/index.ts';

export * from '../src/index.ts';

export class SharedBloom extends Reference {
  constructor(redis: ConstructorParameters<typeof Reference>[0], options: SharedBloomOptions) {
    super(redis, { ...options, pendingMs: 0 });
  }
}
