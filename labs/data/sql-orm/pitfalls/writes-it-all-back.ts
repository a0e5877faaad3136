// Flaw: whatever was read is written back, all columns of it: listeners hear of updates that are none.
// Seen in: https://github.com/mikro-orm/mikro-orm/issues/3328
// Caught by: a flush writes what has changed, and nothing else, in one statement for each kind of change
import { type Change, Session as Reference, type Value } from '../src/index.ts';

export * from '../src/index.ts';

export class Session<DB> extends Reference<DB> {
  protected override changes(values: Record<string, Value>, stored: Record<string, Value>): Change[] {
    const columns = Object.keys(values).filter((column) => column !== 'id' && column !== 'version');
    return columns.map((column) => ({ column, from: stored[column] ?? null, to: values[column] ?? null }));
  }
}
