// Flaw: the cursor is base64 and nothing more: anybody makes his own, and what makes no sense is an error of the database.
// Seen in: https://github.com/liwala/ay-framework/issues/106
// Caught by: a cursor is good for the list that gave it: one that was changed, or is of another search, is a 400
import { Keyset as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Keyset extends Reference {
  protected override seal(position: readonly string[]): string {
    return Buffer.from(JSON.stringify(position)).toString('base64url');
  }
  protected override open(cursor: string): string[] {
    return JSON.parse(`${Buffer.from(cursor, 'base64url')}`);
  }
}
