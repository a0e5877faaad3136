// Flaw: `card->'tags' @> …`: the index is on the card, the question about an expression, and the whole table is read.
// Seen in: https://github.com/Kinto/kinto/pull/3646
// Caught by: a question about contents reads an index, and of the table its hits alone
import { type JsonObject, Cards as Reference, type Statement } from '../src/index.ts';

export * from '../src/index.ts';

export class Cards extends Reference {
  override contains(part: JsonObject): Statement {
    const { values } = super.contains(part);
    const conditions = Object.keys(part).map((key) => `card->'${key}' @> $1::jsonb->'${key}'`);
    return { text: `SELECT id, card FROM ${this.table} WHERE ${conditions.join(' AND ')}`, values };
  }
}
