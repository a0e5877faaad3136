// Flaw: a late answer is ignored, and its request runs on: the server searches for every letter, and for pages that were left.
// Seen in: https://github.com/facebook/astryx/issues/3587
// Caught by: a question that nobody waits for is given up; who comes back asks anew
import { Search as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Search<Item> extends Reference<Item> {
  constructor({ find, ...o }: ConstructorParameters<typeof Reference<Item>>[0]) {
    super({ ...o, find: (query, cursor) => find(query, cursor, new AbortController().signal) });
  }
}
