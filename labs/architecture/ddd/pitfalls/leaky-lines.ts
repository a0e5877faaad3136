// Flaw: the getter hands out the order's own array, so that any reader can add a line past the rules and the guards.
// Seen in: https://github.com/a-type/verdant/issues/417
// Caught by: what a reader does to the lines changes no order
import { type OrderLine, Order as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Order extends Reference {
  protected override view(lines: readonly OrderLine[]): readonly OrderLine[] {
    return lines;
  }
}
