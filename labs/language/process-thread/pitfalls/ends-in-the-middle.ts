// Flaw: a closing ends every task where it stands, at once.
// Seen in: https://github.com/activepieces/activepieces/issues/13847
// Caught by: what was taken is finished at the closing, and no longer than the deadline allows
import { type Entry, Hybrid, type HybridOptions } from '../src/index.ts';

export * from '../src/index.ts';

class Flawed<M extends Entry> extends Hybrid<M> {
  override async [Symbol.asyncDispose](): Promise<void> {
    this.giveUp();
    await super[Symbol.asyncDispose]();
  }
}

export const hybrid = <M extends Entry>(options: HybridOptions) => new Flawed<M>(options);
