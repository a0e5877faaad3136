// Flaw: nobody handles the rejection of a load in the background, and Node ends the process.
// Seen in: https://github.com/jaredwray/cacheable/pull/637
// Caught by: a refresh that fails in the background bothers nobody, and is not repeated by every reader
import { HotCache as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class HotCache extends Reference {
  protected override refreshFailed(_key: string, error: unknown): void {
    throw error;
  }
}
