// Flaw: who was woken takes the mutex as if nobody else slept, so nobody is woken when it is free again.
// Seen in: https://github.com/SerenityOS/serenity/pull/20425
// Caught by: who sleeps at a mutex is woken, however many sleep
import { Mutex as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Mutex extends Reference {
  protected override take(_as: number): number {
    return super.take(this.me);
  }
}
