// Flaw: every process refreshes for itself: ten processes are ten times the load that the cache was to take off.
// Seen in: https://github.com/streamlit/streamlit/pull/14690 (each worker triggers its own refresh)
// Caught by: one process of all refreshes
import { PerpetualCache as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class PerpetualCache extends Reference {
  protected override async lead(): Promise<boolean> {
    return true;
  }
}
