// Flaw: a caller who gives up keeps his place in the line, and the slot that he is given comes back never.
// Seen in: https://github.com/failsafe-lib/failsafe/issues/393
// Caught by: who waits too long is refused, and his slot goes to somebody else
import { Bulkhead as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Bulkhead extends Reference {
  protected override wait(signal: AbortSignal | undefined): Promise<void> {
    const before = new Set(this.waiting);
    const entered = super.wait(signal);
    for (const waiter of this.waiting) {
      if (!before.has(waiter)) entered.catch(() => this.waiting.add(waiter));
    }
    return entered;
  }
}
