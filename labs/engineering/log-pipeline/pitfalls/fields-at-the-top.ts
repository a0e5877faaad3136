// Flaw: the caller's fields lie beside the line's own, twice under one name, and the reader takes the last: the caller's.
// Seen in: https://github.com/pinojs/pino/issues/368
// Caught by: what a user types can neither end a line nor pass for a field of it
import { Logger as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Logger extends Reference {
  protected override envelope(given: Record<string, unknown>): Record<string, unknown> {
    const { fields, ...rest } = super.envelope(given);
    return { ...rest, ...(typeof fields === 'object' ? fields : {}) };
  }
}
