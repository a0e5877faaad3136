// Flaw: the index is on `card->'isbn'` (jsonb), the question about `card->>'isbn'` (text): another expression, no index.
// Seen in: https://github.com/thomas4019/mongo-query-to-postgres-jsonb/issues/7
// Caught by: a question by path, and one by a field as text, each read the index that knows them
import { Cards as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Cards extends Reference {
  override async indexField(field: string): Promise<void> {
    await this.pool.query(`CREATE INDEX IF NOT EXISTS ${this.table}_by_${field} ON ${this.table} ((card->'${field}'))`);
  }
}
