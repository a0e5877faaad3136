// Flaw: the entity saves itself, so the rules can't be had without a database, and change with its driver.
// Seen in: https://github.com/pvarentsov/typescript-clean-architecture/issues/12
// Caught by: the domain imports nothing outward: no driver, no framework, no other layer
import type { Pool } from 'pg';
import { PostgresOrders, Order as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Order extends Reference {
  async save(pool: Pool): Promise<void> {
    await new PostgresOrders(pool).save(this);
  }
}
