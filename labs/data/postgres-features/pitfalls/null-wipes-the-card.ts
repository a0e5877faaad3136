// Flaw: a null is handed to jsonb_set as SQL's NULL, and a function of NULL is NULL: the whole card is gone.
// Seen in: https://github.com/hashbang/userdb/issues/36
// Caught by: a field set to null is a null in its card: neither a missing field nor a missing card
import { type Json, Cards as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Cards extends Reference {
  override async migrate(): Promise<void> {
    await super.migrate();
    await this.pool.query(`ALTER TABLE ${this.table} ALTER card DROP NOT NULL`);
  }

  override async set(id: string, path: readonly string[], value: Json): Promise<void> {
    if (value !== null) return super.set(id, path, value);
    await this.pool.query(`UPDATE ${this.table} SET card = jsonb_set(card, $2, $3) WHERE id = $1`, [id, path, value]);
  }
}
