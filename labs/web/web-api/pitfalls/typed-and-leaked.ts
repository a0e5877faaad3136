// Flaw: the answer is whatever the row has: an interface says what is there at least, not what else is.
// Seen in: https://github.com/bloom-housing/bloom/issues/654
// Caught by: what the response schema does not name stays in the house, and what does not fit is a 500 that tells nothing
import type { ZodType } from 'zod';
import { Api as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Api extends Reference {
  protected override write(schema: ZodType, value: unknown): string | undefined {
    super.write(schema, value);
    return JSON.stringify(value);
  }
}
