// Flaw: a closing waits for every task without a limit: one that never ends keeps the program until somebody kills it.
// Seen in: https://github.com/langfuse/langfuse/pull/16966
// Caught by: what was taken is finished at the closing, and no longer than the deadline allows
import { type Entry, Hybrid, type HybridOptions } from '../src/index.ts';

export * from '../src/index.ts';

class Flawed<M extends Entry> extends Hybrid<M> {
  protected override giveUp(): void {}
}

export const hybrid = <M extends Entry>(options: HybridOptions) => new Flawed<M>(options);
