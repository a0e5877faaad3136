// Flaw: what a callback throws comes out of atomic(): the order is there, whoever placed it is told that it failed, and places it again.
// Seen in: https://github.com/stacksjs/bun-query-builder/issues/1144
// Caught by: a callback that fails undoes nothing: the others are called, and whoever ordered gets his receipt
import { Database as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Database extends Reference {
  protected override async tell(callbacks: readonly (() => unknown)[]): Promise<void> {
    for (const callback of callbacks) await callback();
  }
}
