// Flaw: reading is atomic, writing is atomic, and between the two another thread has counted: its update is lost.
// Seen in: https://github.com/citusdata/citus/pull/3381
// Caught by: a shared counter loses no update of four threads
import { SharedCounter as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class SharedCounter extends Reference {
  #calls = 0;

  override add(by = 1): number {
    const before = Atomics.load(this.words, 0);
    // Any thread may be put aside between the two steps; this one is now and then, so that it is seen each time.
    if (++this.#calls % 1_000 === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0.2);
    return Atomics.store(this.words, 0, before + by);
  }
}
