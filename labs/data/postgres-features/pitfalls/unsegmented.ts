// Flaw: Chinese is given to to_tsvector as it is, and a sentence becomes one word.
// Seen in: https://github.com/outline/outline/issues/3207
// Caught by: a word inside a Chinese sentence is found, and an English one in another form
import { type Doc, TextSearch as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class TextSearch extends Reference {
  protected override cut({ title, body }: Omit<Doc, 'id'>): [string, string] {
    return [title, body];
  }
}
