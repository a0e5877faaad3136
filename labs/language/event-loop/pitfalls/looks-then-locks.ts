// Flaw: "is it free?" and "now it is mine" are two steps; two threads that look at once are both in.
// Seen in: https://github.com/starship/starship/pull/1575
// Caught by: a mutex lets one thread in at a time
import { Mutex as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Mutex extends Reference {
  protected override take(as: number): number {
    const seen = Atomics.load(this.word, 0);
    // Any thread may be put aside between the two steps; this one is, so that it is seen each time.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0.2);
    if (seen === 0) Atomics.store(this.word, 0, as);
    return seen;
  }
}
