// Flaw: a page begins behind the first column's value alone: what shares it with the last row of the page before is skipped.
// Seen in: https://github.com/leapmux/leapmux/issues/287
// Caught by: pages by key neither skip nor repeat a book while others come and go
import { Keyset as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Keyset extends Reference {
  protected override behind(first: number): string {
    return `${this.names[0]} ${this.direction === 'asc' ? '>' : '<'} $${first}::${this.types[0]}
      AND $${first + 1}::text IS NOT NULL`;
  }
}
