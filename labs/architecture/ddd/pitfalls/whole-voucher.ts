// Flaw: the voucher was checked against the total when it was redeemed; then lines are taken out, and the total is negative.
// Seen in: https://github.com/openfoodfoundation/openfoodnetwork/issues/11233
// Caught by: a voucher never takes off more than there is
import { Money, Order as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Order extends Reference {
  override get discount(): Money {
    const { voucher, currency } = this.snapshot();
    return Money.of(voucher, currency);
  }
}
