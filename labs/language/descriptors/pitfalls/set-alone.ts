// Flaw: only `set` makes a data descriptor, so one that guards deletions alone is hidden by any value of the instance.
// Seen in: https://github.com/pypy/pypy/issues/2199
// Caught by: set or delete, either of them makes a data descriptor
import { type Attribute, isDescriptor } from '../src/index.ts';

export * from '../src/index.ts';

export function isDataDescriptor(d: unknown): d is Attribute {
  return isDescriptor(d) && d.set !== undefined;
}
