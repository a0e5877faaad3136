// Flaw: the debit is committed to let the connection go, and what is on its way is written nowhere.
// Seen in: https://github.com/davout/bitcoin-central/issues/40
// Caught by: a process killed at any step of a transfer loses no money: resume brings it where it belongs
import { Transfers as Reference, type Transfer } from '../src/index.ts';

export * from '../src/index.ts';

export class Transfers extends Reference {
  override async send(transfer: Transfer) {
    const { payer, payee, amount } = transfer;
    const move = 'UPDATE account SET balance = balance + $2 WHERE id = $1';
    await this.pool.withTx((tx) => tx.query(move, [payer, -amount]));
    const end = await this.ask(transfer);
    await this.pool.withTx((tx) => tx.query(move, [end === 'done' ? payee : payer, amount]));
    return end;
  }
}
