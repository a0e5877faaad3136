// Flaw: title and body are one vector of one weight: who repeats a word often enough comes first.
// Seen in: https://github.com/rust-lang/crates.io/pull/287
// Caught by: a word in the title outranks the same word a hundred times in the body
import { TextSearch as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class TextSearch extends Reference {
  protected override vector(): string {
    return "to_tsvector('english', title_words) || to_tsvector('english', body_words)";
  }
}
