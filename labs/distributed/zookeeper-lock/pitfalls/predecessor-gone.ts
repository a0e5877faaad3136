// Flaw: when the node before us is gone, the lock is taken to be ours, without a look at the queue.
// Seen in: https://github.com/cdapio/cdap/pull/1241
// Caught by: who waits behind one that gave up goes on waiting
import { type Contender, Locks as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Locks extends Reference {
  readonly #waitedFor = new Map<string, string>();

  protected override blocker(queue: readonly Contender[], own: Contender): Contender | undefined {
    const waitedFor = this.#waitedFor.get(own.name);
    if (waitedFor !== undefined && !queue.some(({ name }) => name === waitedFor)) return undefined;
    const blocker = super.blocker(queue, own);
    if (blocker) this.#waitedFor.set(own.name, blocker.name);
    return blocker;
  }
}
