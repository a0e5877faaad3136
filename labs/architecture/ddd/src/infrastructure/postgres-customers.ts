import type { Pool } from 'pg';
import { Customer, type CustomerSnapshot } from '../domain/customer.ts';
import type { CustomerId } from '../domain/ids.ts';
import { AlreadyChargedError, ConcurrencyError, type CustomerRepository, NotFoundError } from '../domain/ports.ts';
import { announce, inOneTransaction, insist, restored } from './postgres.ts';

/** Customers in PostgreSQL: `customers`, `charges` and `outbox`. */
export class PostgresCustomers implements CustomerRepository {
  protected readonly pool: Pool;

  constructor(pool: Pool) {
    this.pool = pool;
  }

  async get(id: CustomerId): Promise<Customer> {
    const { rows } = await insist<{ snapshot: CustomerSnapshot }>(this.pool, {
      text: `SELECT json_build_object('id', id, 'version', version, 'balance', balance, 'currency', currency) AS snapshot
       FROM customers WHERE id = $1`,
      values: [id],
    });
    const [row] = rows;
    if (!row) throw new NotFoundError('customer', id);
    return restored('customer', id, () => Customer.restore(row.snapshot));
  }

  async save(customer: Customer): Promise<void> {
    const { events } = customer;
    const { id, version, balance, currency } = customer.snapshot();
    await inOneTransaction(this.pool, async (tx) => {
      // First, since a second charge may also come at a stale version, and is then no reason to try again.
      for (const event of events) {
        const { rowCount } = await tx.query(
          'INSERT INTO charges (order_id, customer_id, outcome) VALUES ($1, $2, $3) ON CONFLICT (order_id) DO NOTHING',
          [event.orderId, id, event.type],
        );
        if (rowCount === 0) throw new AlreadyChargedError(event.orderId);
      }
      const { rowCount } = await tx.query(
        version === 0
          ? 'INSERT INTO customers VALUES ($1, $2::integer + 1, $3, $4) ON CONFLICT (id) DO NOTHING'
          : 'UPDATE customers SET version = version + 1, balance = $3, currency = $4 WHERE id = $1 AND version = $2',
        [id, version, balance, currency],
      );
      if (rowCount === 0) throw new ConcurrencyError('Customer', id, version);
      await announce(tx, id, events);
    });
    customer.committed(events);
  }
}
