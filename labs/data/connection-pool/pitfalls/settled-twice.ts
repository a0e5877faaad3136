// Flaw: whether it is still pending is looked at before the call and not where the money moves, so two who settle both pay.
// Seen in: https://github.com/Significant-Gravitas/AutoGPT/pull/10672
// Caught by: the same order sent often, and resumed meanwhile, is carried out once
import { type Lease, Transfers as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Transfers extends Reference {
  protected override async settle(tx: Lease, id: string, end: 'done' | 'refused') {
    const update = 'UPDATE transfer SET state = $2 WHERE id = $1 RETURNING payer, payee, amount';
    const [row] = (await tx.query(update, [id, end])).rows;
    const credit = 'UPDATE account SET balance = balance + $2 WHERE id = $1';
    await tx.query(credit, [end === 'done' ? row?.['payee'] : row?.['payer'], row?.['amount']]);
    return end;
  }
}
