// Flaw: the gate has a queue without an end: nobody is refused, everybody waits, and the memory fills.
// Seen in: https://github.com/scalacenter/scaladex/pull/1775
// Caught by: the queue is bounded: who comes beyond it is refused at once
import { DatabaseGate as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class DatabaseGate extends Reference {
  protected override readonly maxWaiting = Number.POSITIVE_INFINITY;
}
