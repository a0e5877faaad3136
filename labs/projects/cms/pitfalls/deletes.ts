// Flaw: deletes what was unpublished, with its revision. OpenSearch remembers the revision of what is deleted for a minute only.
// Seen in: https://github.com/AWS-South-Wales-User-Group/qldb-simple-demo/issues/17, https://github.com/elastic/elasticsearch/issues/101178
// Caught by: what was unpublished is found no more, however late an old document comes
export * from '../src/index.ts';

import { type Document, type Operation, SearchIndex as Sound } from '../src/index.ts';

export class SearchIndex extends Sound {
  protected override operation(document: Document): Operation {
    const { id, revision, live } = document;
    if (live) return super.operation(document);
    return { action: { delete: { _id: id, version: revision, version_type: 'external' } } };
  }
}
