// Flaw: to_tsquery is a language, and what people type is not always of it: an apostrophe or a bracket is an error 500.
// Seen in: https://github.com/mattermost/mattermost/issues/1069
// Caught by: any text is a query: none makes Postgres throw
import { TextSearch as Reference, type Statement } from '../src/index.ts';

export * from '../src/index.ts';

export class TextSearch extends Reference {
  override wordsStatement(typed: string, limit?: number): Statement {
    const { text, values } = super.wordsStatement(typed, limit);
    return { text: text.replaceAll('websearch_to_tsquery', 'to_tsquery'), values };
  }
}
