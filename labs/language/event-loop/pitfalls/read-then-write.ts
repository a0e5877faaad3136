// Flaw: reading is atomic, writing is atomic, and between the two another thread has counted: its update is lost.
// Seen in: https://github.com/citusdata/citus/pull/3381
// Caught by: a shared counter loses no update of four threads
import { SharedCounter as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class SharedCounter extends Reference {
  override add(by = 1): number {
    return Atomics.store(this.words, 0, Atomics.load(this.words, 0) + by);
  }
}
