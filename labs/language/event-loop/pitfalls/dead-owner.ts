// Flaw: nobody notices that the holder has died; everybody waits for a thread that is not there.
// Seen in: https://github.com/boostorg/interprocess/issues/65
// Caught by: who dies in the lock is noticed: the others are told, and go on after the repair
import { Mutex as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Mutex extends Reference {
  override watch(): void {}
}
