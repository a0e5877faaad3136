import { AsyncLocalStorage } from 'node:async_hooks';
import { type Behaviour, refuseGenerator, warnOf } from './method.ts';

/** What a database hands out; add `query` and the like in a type of your own. */
export interface Transaction {
  commit(): Promise<void>;
  rollback(): Promise<void>;
}

/** The transactions of one database: code within `run` finds its own in `current`. */
export class Transactions<T extends Transaction> {
  readonly #begin: () => Promise<T>;
  readonly #open = new AsyncLocalStorage<{ readonly transaction: T; failure: { error: unknown } | undefined }>();

  constructor(begin: () => Promise<T>) {
    this.#begin = begin;
  }

  /** The transaction that this code runs in; undefined outside of `run`. */
  get current(): T | undefined {
    return this.#open.getStore()?.transaction;
  }

  /**
   * Commits when `body` returns, rolls back when it throws. Within another `run` it joins that one: and then its
   * failure undoes the whole, even where somebody in between catches the error. What `body` starts must end with it.
   *
   * @throws what `body` throws; what a joined `run` threw; what begin and commit throw. A rollback that fails is a
   *   warning of the process, and hides no error.
   */
  async run<R>(body: () => R | Promise<R>): Promise<R> {
    const joined = this.#open.getStore();
    if (joined) {
      try {
        return await body();
      } catch (error) {
        joined.failure ??= { error };
        throw error;
      }
    }
    const transaction = await this.#begin();
    const open: { transaction: T; failure: { error: unknown } | undefined } = { transaction, failure: undefined };
    let result: R;
    try {
      result = await this.#open.run(open, body);
      if (open.failure) throw open.failure.error;
    } catch (error) {
      await warnOf('the rollback failed', () => transaction.rollback());
      throw error;
    }
    await transaction.commit();
    return result;
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
