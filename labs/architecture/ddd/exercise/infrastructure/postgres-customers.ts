import type { CustomerId } from '../../src/domain/ids.ts';
import { PostgresCustomers as Given } from '../../src/infrastructure/postgres-customers.ts';
import { Customer } from '../domain/customer.ts';

/** Given: those of src/infrastructure/postgres-customers.ts, whose balance is an amount of yours. */
export class PostgresCustomers extends Given {
  override async get(id: CustomerId): Promise<Customer> {
    const customer = await super.get(id);
    return Customer.restore(customer.snapshot());
  }
}
