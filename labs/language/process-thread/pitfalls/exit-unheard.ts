// Flaw: nobody listens for the end of a forked process: who waits for its answer waits for ever.
// Seen in: https://github.com/jestjs/jest/issues/13183
// Caught by: a process that is killed loses its own tasks alone: each is told, and none runs twice
import { type Entry, Hybrid, type HybridOptions } from '../src/index.ts';

export * from '../src/index.ts';

class Flawed<M extends Entry> extends Hybrid<M> {
  protected override lost(): void {}
}

export const hybrid = <M extends Entry>(options: HybridOptions) => new Flawed<M>(options);
