import { Customer as Given } from '../../src/domain/customer.ts';
import type { OrderId } from '../../src/domain/ids.ts';
import { Money as GivenMoney } from '../../src/domain/money.ts';
import { Money } from './money.ts';

/** Given: the customer of src/domain/customer.ts, with amounts of yours. */
export class Customer extends Given {
  override get balance(): Money {
    return Money.of(super.balance.minor, super.balance.currency);
  }

  override canPay(amount: Money): boolean {
    return super.canPay(given(amount));
  }

  override charge(orderId: OrderId, amount: Money): void {
    super.charge(orderId, given(amount));
  }

  override topUp(amount: Money): void {
    super.topUp(given(amount));
  }
}

/** What is no amount of yours, the customer judges. */
const given = (amount: Money): GivenMoney =>
  amount instanceof Money ? GivenMoney.of(amount.minor, amount.currency) : amount;
