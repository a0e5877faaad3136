import { AsyncLocalStorage } from 'node:async_hooks';
import { MisuseError } from './errors.ts';
import { type Behaviour, refuseGenerator, warnOf } from './method.ts';

/** What a database hands out; add `query` and the like in a type of your own. */
export interface Transaction {
  /** Where it rejects, `rollback` is called too: keep the connection for it. */
  commit(): Promise<void>;
  rollback(): Promise<void>;
}

interface Open<T> {
  readonly transaction: T;
  failure: { error: unknown } | undefined;
  ended: boolean;
}

/** The transactions of one database: code within `run` finds its own in `current`. */
export class Transactions<T extends Transaction> {
  readonly #begin: () => Promise<T>;
  readonly #open = new AsyncLocalStorage<Open<T>>();

  constructor(begin: () => Promise<T>) {
    this.#begin = begin;
  }

  /** The transaction that this code runs in; undefined outside of `run`. @throws MisuseError when that one has ended. */
  get current(): T | undefined {
    return this.#surrounding()?.transaction;
  }

  /** What goes on after the end would be written with nobody to commit it. */
  #surrounding(): Open<T> | undefined {
    const open = this.#open.getStore();
    if (open?.ended) throw new MisuseError('the transaction that started this code has ended: is an await missing?');
    return open;
  }

  /**
   * Commits when `body` returns, rolls back when it throws, or where the commit fails. Within another `run` it joins
   * that one: and then its failure undoes the whole, even where somebody in between catches the error. What `body`
   * starts must end with it.
   *
   * @throws what `body` throws; what a joined `run` threw; what begin and commit throw; MisuseError when the one to join
   *   has ended. A rollback that fails is a warning of the process, and hides no error.
   */
  async run<R>(body: () => R | Promise<R>): Promise<R> {
    const joined = this.#surrounding();
    if (joined) {
      try {
        return await body();
      } catch (error) {
        joined.failure ??= { error };
        throw error;
      }
    }
    const transaction = await this.#begin();
    const open: Open<T> = { transaction, failure: undefined, ended: false };
    try {
      // Awaited in there: a query begins when it is awaited, wherever that is.
      const result = await this.#open.run(open, async () => body()).finally(() => (open.ended = true));
      if (open.failure) throw open.failure.error;
      await transaction.commit();
      return result;
    } catch (error) {
      await warnOf('the rollback failed', () => transaction.rollback());
      throw error;
    }
  }
}

/** Runs each call in a transaction. @throws MisuseError on a generator; else see `Transactions.run`. */
export function inTransaction<T extends Transaction>(transactions: Transactions<T>): Behaviour {
  return (method, name) => {
    refuseGenerator('transactional', method, name);
    return async function (...args) {
      return transactions.run(() => Reflect.apply(method, this, args));
    };
  };
}
