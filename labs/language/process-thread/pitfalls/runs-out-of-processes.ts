// Flaw: a process that has gone is not replaced: after the last of them what waits is never served.
// Seen in: https://github.com/jestjs/jest/issues/13976
// Caught by: a process that has gone is replaced, and what waits is served
import { type Entry, Hybrid, type HybridOptions } from '../src/index.ts';

export * from '../src/index.ts';

class Flawed<M extends Entry> extends Hybrid<M> {
  declare short?: boolean;

  protected override exited(...[child, exit]: Parameters<Hybrid<M>['exited']>): void {
    this.short = true;
    super.exited(child, exit);
  }

  protected override start(): void {
    if (!this.short) super.start();
  }
}

export const hybrid = <M extends Entry>(options: HybridOptions) => new Flawed<M>(options);
