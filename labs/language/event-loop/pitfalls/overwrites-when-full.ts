// Flaw: the writer doesn't look where the reader is; a belt that is full is written over, and a whole round is lost.
// Seen in: https://github.com/autosportlabs/RaceCapture-Pro_firmware/pull/499
// Caught by: a ring hands each value over once, in order, and never overwrites
import { RingBuffer as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class RingBuffer extends Reference {
  override push(value: number): boolean {
    this.values[Atomics.add(this.counts, 1, 1) & (this.capacity - 1)] = value;
    return true;
  }
}
