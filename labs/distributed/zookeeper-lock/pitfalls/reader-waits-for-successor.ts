// Flaw: a reader that looks again waits for the last writer in the queue, one behind it too, which waits for the reader.
// Seen in: https://github.com/python-zk/kazoo/issues/649
// Caught by: readers share the lock, and a reader who comes after a waiting writer waits for him
import { type Contender, Locks as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Locks extends Reference {
  protected override blocker(queue: readonly Contender[], own: Contender): Contender | undefined {
    return own.mode === 'read' ? queue.findLast(({ mode }) => mode === 'write') : super.blocker(queue, own);
  }
}
