// Flaw: what the user typed is handed to the index's own query language: a star finds all, and OR undoes any filter.
// Seen in: https://github.com/ruflin/Elastica/issues/24
// Caught by: what a query says is looked for, never carried out
import { type Dsl, LogStore as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class LogStore extends Reference {
  protected override toDsl(query: string): Dsl {
    return { query_string: { query: query || '*', default_field: 'message', lenient: true } };
  }
}
