// Flaw: JSON.stringify and nothing else: U+0000 is refused by Postgres in the middle of the work, a Date becomes a text.
// Seen in: https://github.com/jOOQ/jOOQ/issues/13903
// Caught by: what jsonb can not keep as it is, is refused with its place, before anything is sent
import { type JsonObject, Cards as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Cards extends Reference {
  override async add(id: string, card: JsonObject): Promise<void> {
    await this.pool.query(`INSERT INTO ${this.table} VALUES ($1, $2)`, [id, JSON.stringify(card)]);
  }
}
