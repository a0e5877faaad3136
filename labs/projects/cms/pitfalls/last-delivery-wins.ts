// Flaw: writes documents as they come. A delivery that was held up, or is repeated, brings an old text back.
// Seen in: https://github.com/confluentinc/kafka-connect-elasticsearch/pull/422
// Caught by: a document that comes late or again brings no old text back
export * from '../src/index.ts';

import { type Document, type Operation, SearchIndex as Sound } from '../src/index.ts';

export class SearchIndex extends Sound {
  protected override operation(document: Document): Operation {
    return { action: { index: { _id: document.id } }, source: { ...document } };
  }
}
