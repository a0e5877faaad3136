// Flaw: nobody handles the rejection of a load in the background, and Node ends the process.
// Seen in: https://github.com/elizaOS/eliza/pull/16414
// Caught by: a refresh that fails in the background bothers nobody, and the old value stays
import { PerpetualCache as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class PerpetualCache extends Reference {
  protected override refreshFailed(_key: string, error: unknown): void {
    throw error;
  }
}
