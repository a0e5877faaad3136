import { InvalidArgumentError, TransferPendingError, TransferRefusedError } from './errors.ts';
import type { Lease } from './lease.ts';
import type { ConnectionPool } from './pool.ts';

export interface Transfer {
  /** Chosen by whoever orders it: the same order sent twice is one. */
  readonly id: string;
  readonly payer: string;
  readonly payee: string;
  /** In the smallest unit. */
  readonly amount: bigint;
}

type End = 'done' | 'refused';
type Row = { readonly payer: string; readonly payee: string; readonly amount: string; readonly state: 'pending' | End };
/**
 * The slow question to the outside, asked again after a crash: the other side knows the transfer by its id. It has to come
 * to an end, so give it a timeout: the error leaves the transfer pending.
 */
export type Ask = (transfer: Transfer) => Promise<End>;

/**
 * Moves money with a slow call in the middle and no transaction open meanwhile. What is out of one account and not in the
 * other is in a pending row, written together with the debit: whoever dies, `resume` finds it. (A saga of two
 * transactions, after Garcia-Molina and Salem 1987.)
 */
export class Transfers {
  protected readonly pool: ConnectionPool;
  protected readonly ask: Ask;

  constructor(pool: ConnectionPool, ask: Ask) {
    this.pool = pool;
    this.ask = ask;
  }

  /** Tables `account` and `transfer`, where the connection's `search_path` puts them. */
  async migrate(): Promise<void> {
    const tables = `
      CREATE TABLE IF NOT EXISTS account (id text PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0));
      CREATE TABLE IF NOT EXISTS transfer (id text PRIMARY KEY, payer text NOT NULL, payee text NOT NULL,
        amount bigint NOT NULL, state text NOT NULL DEFAULT 'pending')`;
    await this.pool.withClient((client) => client.query(tables));
  }

  /**
   * Carries a transfer through; sent again, it goes on where it stands.
   * @throws TransferRefusedError when it was not begun, TransferPendingError when it is begun and not at its end
   */
  async send({ id, payer, payee, amount }: Transfer): Promise<End> {
    // Postgres knows no U+0000 and UTF-8 no half surrogate: two names could become one.
    const isName = (text: unknown) => typeof text === 'string' && /^[^\0]+$/.test(text) && text.isWellFormed();
    const isMoney = typeof amount === 'bigint' && amount > 0n && amount < 2n ** 62n;
    if (![id, payer, payee].every(isName) || !isMoney || payer === payee) {
      throw new InvalidArgumentError(`${id}: ${amount} from ${payer} to ${payee}. Give names, and a bigint above 0`);
    }
    await this.pool.withTx((tx) => this.begin(tx, { id, payer, payee, amount }));
    return this.finish(id);
  }

  /** Goes on with what is pending: also with what others have under way, which does no harm. */
  async resume(): Promise<{ settled: string[]; failed: TransferPendingError[] }> {
    const pending = `SELECT id FROM transfer WHERE state = 'pending' ORDER BY id`;
    const { rows } = await this.pool.withClient((client) => client.query<{ id: string }>(pending));
    const settled: string[] = [];
    const failed: TransferPendingError[] = [];
    for (const { id } of rows) {
      await this.finish(id).then(
        () => settled.push(id),
        (cause: unknown) => failed.push(new TransferPendingError(id, { cause })),
      );
    }
    return { settled, failed };
  }

  /** The pending row and the debit, together or not at all. */
  protected async begin(tx: Lease, { id, payer, payee, amount }: Transfer): Promise<void> {
    const insert = `INSERT INTO transfer (id, payer, payee, amount) SELECT $1, $2, id, $4 FROM account WHERE id = $3
      ON CONFLICT (id) DO NOTHING`;
    if ((await tx.query(insert, [id, payer, payee, amount])).rowCount === 0) {
      const same = 'SELECT FROM transfer WHERE id = $1 AND payer = $2 AND payee = $3 AND amount = $4';
      if ((await tx.query(same, [id, payer, payee, amount])).rowCount === 1) return;
      throw new TransferRefusedError(`there is no account ${payee}, or another transfer has the id ${id}`);
    }
    const debit = 'UPDATE account SET balance = balance - $2 WHERE id = $1 AND balance >= $2';
    if ((await tx.query(debit, [payer, amount])).rowCount === 1) return;
    throw new TransferRefusedError(`there is no account ${payer}, or it has less than ${amount}`);
  }

  /** Asks outside, with no connection held, then settles. */
  protected async finish(id: string): Promise<End> {
    const find = 'SELECT payer, payee, amount, state FROM transfer WHERE id = $1';
    try {
      const [row] = (await this.pool.withClient((client) => client.query<Row>(find, [id]))).rows;
      if (row === undefined) throw new TransferRefusedError(`there is no transfer ${id}`);
      const { payer, payee, amount, state } = row;
      if (state !== 'pending') return state;
      const end = await this.ask({ id, payer, payee, amount: BigInt(amount) });
      // It comes from outside: what is no yes is not yet a no.
      if (end !== 'done' && end !== 'refused') throw new InvalidArgumentError(`asked for ${id}: ${String(end)}`);
      return await this.pool.withTx((tx) => this.settle(tx, id, end));
    } catch (cause) {
      throw new TransferPendingError(`${id} is begun and not at its end: resume() goes on with it`, { cause });
    }
  }

  /** Out of the pending row, into the payee's account or back: by whoever comes first, and once. */
  protected async settle(tx: Lease, id: string, end: End): Promise<End> {
    const update = `UPDATE transfer SET state = $2 WHERE id = $1 AND state = 'pending' RETURNING *`;
    const [row] = (await tx.query<Row>(update, [id, end])).rows;
    if (row === undefined) {
      const { rows } = await tx.query<{ state: End }>('SELECT state FROM transfer WHERE id = $1', [id]);
      return rows[0]?.state ?? end;
    }
    const credit = 'UPDATE account SET balance = balance + $2 WHERE id = $1';
    const to = end === 'done' ? row.payee : row.payer;
    if ((await tx.query(credit, [to, row.amount])).rowCount === 1) return end;
    throw new TransferRefusedError(`there is no account ${to} any more`);
  }
}
