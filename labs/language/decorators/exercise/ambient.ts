import type { Transaction } from '../src/core/index.ts';
import { todo } from './todo.ts';

/** Aborts when the innermost `@timeout` around this code, or one further out, gives up; undefined without any. */
export function currentSignal(): AbortSignal | undefined {
  return todo('currentSignal');
}

/** The transactions of one database: code within `run` finds its own in `current`, whatever it awaits. */
export class Transactions<T extends Transaction> {
  constructor(_begin: () => Promise<T>) {
    todo('Transactions');
  }

  /** The transaction that this code runs in; undefined outside of `run`. @throws MisuseError when that one has ended. */
  get current(): T | undefined {
    return todo('current');
  }

  /**
   * Commits when `body` returns, rolls back when it throws, or where the commit fails. Within another `run` it joins
   * that one: and then its failure undoes the whole, even where somebody in between catches the error.
   *
   * @throws what `body`, a joined `run`, begin and commit throw; MisuseError when the one to join has ended.
   */
  run<R>(_body: () => R | Promise<R>): Promise<R> {
    return todo('run');
  }
}
