// Flaw: whatever is derived from the base, or is the base, is registered; the shop then constructs an abstract plugin.
// Seen in: https://github.com/sublimelsp/LSP/pull/1768
// Caught by: the abstract base is no plugin, and neither is a stranger
import { type Class, Registry as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Registry<T extends object> extends Reference<T> {
  protected override assertRegistrable(_cls: Class): void {}
}
