// Flaw: the request is answered 200, so each of its events is taken for indexed: what was refused is gone without a word.
// Seen in: https://github.com/babenkoivan/scout-elasticsearch-driver/issues/186
// Caught by: a poison line is put aside with its reason, and its batch is indexed
import { BulkSink as Reference, type Verdict } from '../src/index.ts';

export * from '../src/index.ts';

export class BulkSink extends Reference {
  protected override judge(): { verdict: Verdict; status: number; reason: string } {
    return { verdict: 'indexed', status: 200, reason: '' };
  }
}
