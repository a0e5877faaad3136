// Flaw: BEGIN, the statements and COMMIT each go to whichever connection of the pool is free.
// Seen in: https://github.com/UNDP-Data/geohub/pull/3936
// Caught by: concurrent transactions never share a connection
import { Database as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Database extends Reference {
  override async transaction<T>(body: () => Promise<T>): Promise<T> {
    await this.pool.query('BEGIN');
    try {
      const result = await body();
      await this.pool.query('COMMIT');
      return result;
    } catch (error) {
      await this.pool.query('ROLLBACK');
      throw error;
    }
  }
}
