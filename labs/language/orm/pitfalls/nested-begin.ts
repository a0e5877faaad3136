// Flaw: an inner transaction says BEGIN and COMMIT too, so its end is the end of the outer one.
// Seen in: https://github.com/j256/ormlite-jdbc/issues/19
// Caught by: an inner transaction is a savepoint: it rolls back alone
import { AsyncLocalStorage } from 'node:async_hooks';
import { Database as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Database extends Reference {
  readonly #inside = new AsyncLocalStorage<true>();

  override async transaction<T>(...[body, options]: Parameters<typeof Reference.prototype.transaction<T>>): Promise<T> {
    if (!this.#inside.getStore()) return super.transaction(() => this.#inside.run(true, body), options);
    await this.query('BEGIN');
    try {
      const result = await body();
      await this.query('COMMIT');
      return result;
    } catch (error) {
      await this.query('ROLLBACK');
      throw error;
    }
  }
}
