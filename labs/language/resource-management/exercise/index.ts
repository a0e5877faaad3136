import type { Pool, PoolClient, QueryResult, QueryResultRow } from 'pg';
import type { AnswerOf, Managers, ValuesOf } from '../src/acquire-all.ts';
import { exitAndThrow, holding } from '../src/context.ts';
import type {
  ContextManager,
  Ending,
  Entered,
  Exit,
  Handled,
  ManagerBody,
  ManagerOptions,
  Outcome,
  Transaction,
} from '../src/index.ts';
import { DisposedError, NotDisposableError, ReentrantError, YieldError } from '../src/index.ts';
import { once } from '../src/once.ts';
import { checkOut, giveBack } from '../src/transaction.ts';

// The words of the subject are given, in src/: read the types in context.ts first (`Ending`, `Entered`, `ContextManager`),
// and errors.ts. Given too: the small managers, `redirect`, `interruptible`, and here whatever only carries the rest.
// Each `todo` is yours. `h` in `pnpm lab learn resource-management` gives a hint.
export type {
  ContextManager,
  Ending,
  Entered,
  Exit,
  Handled,
  ManagerBody,
  ManagerOptions,
  Outcome,
  Transaction,
  WriteTarget,
} from '../src/index.ts';
export {
  CommitUnknownError,
  closing,
  DisposedError,
  InterruptedError,
  interruptible,
  NotDisposableError,
  nullContext,
  ReentrantError,
  ResourceError,
  RolledBackError,
  redirect,
  suppress,
  YieldError,
} from '../src/index.ts';

// ── a body and its manager ──────────────────────────────────────────────────────────────────────────────────────────

/**
 * Python's `with`: enters `manager`, runs `body`, and exits when the body has ended, telling how it did.
 *
 * @returns what the body returned; undefined when the manager answered `'handled'` to its error
 * @throws what entering throws; the error of the body; what exiting throws
 */
export function withContext<T, A, R>(
  manager: ContextManager<T, A>,
  body: (value: T) => R | PromiseLike<R>,
): Promise<Outcome<R, A>>;
export async function withContext<T, R>(
  _manager: ContextManager<T, unknown>,
  _body: (value: T) => R | PromiseLike<R>,
): Promise<R | undefined> {
  return todo('withContext');
}

/**
 * Two errors as one, so that neither is lost: a SuppressedError, whose `error` is the newer and whose `suppressed` is
 * the older one. An exit may throw on the very error that it was told of: that is one error, not two. A hardening law:
 * where `newer` leads to `older` already, by `cause` or as one of its parts, it is enough by itself.
 */
export function chain(_newer: unknown, _older: unknown): unknown {
  return todo('chain');
}

/** Given: an Entered of `value`. `exit` runs once, and what it throws after an error of the body goes through `chain`. */
export function entered<T, A>(value: T, exit: (ending: Ending) => A | PromiseLike<A>): Entered<T, A> {
  const chained = async (ending: Ending) => {
    try {
      return await exit(ending);
    } catch (error) {
      throw ending.kind === 'threw' ? chain(error, ending.error) : error;
    }
  };
  return holding(value, once(chained));
}

// ── a generator as a manager ────────────────────────────────────────────────────────────────────────────────────────

/**
 * Makes context managers from a generator: what stands before its `yield` enters, what stands after it exits.
 * `enter` gives an Entered of what was yielded, made by `entered`; its exit resumes the generator, by what the ending
 * asks for, and answers what the generator returned. YieldError takes `body.name` and `'never'` or `'again'`.
 *
 * @throws from `enter`: what the generator throws, YieldError when it doesn't yield, ReentrantError when the same
 *   manager is entered already and not `reentrant` (a hardening law); from `exit`: what the generator throws,
 *   YieldError when it yields again; it is closed then
 */
export function contextManager<P extends readonly unknown[], T, A>(
  _body: (...args: P) => ManagerBody<T, A>,
  _options: ManagerOptions = {},
): (...args: P) => ContextManager<T, A | undefined> {
  return () => ({
    enter: () => todo('the enter of contextManager', [YieldError, ReentrantError]),
  });
}

// ── many managers ───────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Exits, run in reverse order, each once and after the one before it: nested `with` blocks whose number is known only
 * at run time. An exit that throws stops no other; it replaces the error, for the exits that follow too.
 */
export class ExitStack implements ContextManager<ExitStack, Handled>, AsyncDisposable {
  protected exits: Exit[] = [];
  #closed = false;
  #entered = false;

  /** Given: runs once, whoever asks. */
  readonly exit: (ending: Ending) => Promise<Handled> = once((ending: Ending) => {
    this.#closed = true;
    return this.unwind(ending);
  });

  /**
   * Runs `this.exits`. Each is told how it stands then: `ending`, or the error of an exit before it (chained to the
   * error that it met), or, once an exit has answered `'handled'`, that all is well.
   *
   * @returns `'handled'` when `ending` had an error and it has been handled
   * @throws the error that stands in the end, unless it is the one that `ending` had: whoever ran the body throws that
   */
  protected async unwind(_ending: Ending): Promise<Handled> {
    return todo('ExitStack.unwind');
  }

  /** Enters `manager`, and exits it with this stack. If the stack was closed meanwhile (a hardening law): `exitAndThrow`. */
  async enterContext<T>(_manager: ContextManager<T, unknown>): Promise<T> {
    this.#assertOpen();
    return todo('ExitStack.enterContext', [exitAndThrow]);
  }

  /** Moves all exits to a new stack, which is the caller's to close. This one is empty then, and open. */
  popAll(): ExitStack {
    this.#assertOpen();
    return todo('ExitStack.popAll');
  }

  // Given, from here on.

  use<T extends Disposable | AsyncDisposable | null | undefined>(resource: T): T {
    if (resource === null || resource === undefined) this.#assertOpen();
    else this.callback(disposer(resource));
    return resource;
  }

  push(exit: Exit): void {
    this.#assertOpen();
    this.exits.push(exit);
  }

  callback<P extends readonly unknown[]>(fn: (...args: P) => unknown, ...args: P): void {
    this.push(async () => void (await fn(...args)));
  }

  async close(): Promise<void> {
    await this.exit({ kind: 'returned' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.exit({ kind: 'unknown' });
  }

  enter(): Entered<this, Handled> {
    this.#assertOpen();
    if (this.#entered) throw new ReentrantError('The stack is entered already: make a new one for the block inside.');
    this.#entered = true;
    return holding(this, this.exit);
  }

  #assertOpen(): void {
    if (this.#closed) throw new DisposedError('The stack');
  }
}

function disposer(resource: Disposable | AsyncDisposable): () => unknown {
  const from: object = Object(resource);
  const dispose: unknown = Reflect.get(from, Symbol.asyncDispose) ?? Reflect.get(from, Symbol.dispose);
  if (typeof dispose !== 'function') throw new NotDisposableError(resource);
  return () => Reflect.apply(dispose, resource, []);
}

/**
 * A manager that enters all `managers` at once, or none of them: if one fails, it waits for the others, exits those
 * that were entered, and throws. Exits are run one by one, the last manager's first.
 *
 * @throws from `enter`: the error of the manager that failed; of several, and of exits that fail, see `chain`
 */
export function acquireAll<M extends Managers>(...managers: M): ContextManager<ValuesOf<M>, AnswerOf<M[number]>>;
export function acquireAll(..._managers: Managers): ContextManager<unknown[], unknown> {
  return {
    enter: () => todo('the enter of acquireAll'),
  };
}

// ── a transaction ───────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * A connection of `pool` in a transaction, for `await using`: rolled back in the end, unless `commit` was called.
 *
 * @throws what the pool throws, and what Postgres answers to BEGIN: the connection is handed back then
 */
export async function transaction(pool: Pick<Pool, 'connect'>): Promise<Transaction> {
  const tx = new PoolTransaction(await checkOut(pool));
  await tx.query('BEGIN');
  return tx;
}

class PoolTransaction implements Transaction {
  readonly #client: PoolClient;
  /** One statement at a time, in the order in which they were asked for. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(client: PoolClient) {
    this.#client = client;
  }

  /** Hardening laws ask for an end of this: after `commit`, and after the block, nothing more is sent. */
  query<R extends QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<QueryResult<R>> {
    return this.#send<R>(text, values);
  }

  /** Makes it permanent. Errors, for the hardening laws: see `Transaction`. */
  async commit(): Promise<void> {
    return todo('commit of a transaction');
  }

  /**
   * Rolls back what was not committed, and then hands the connection back; so far it only does that. Throws nothing.
   * A hardening law: one that can't be rolled back is broken, and `giveBack(client, true)` destroys it.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#last;
    giveBack(this.#client);
  }

  #send<R extends QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<QueryResult<R>> {
    const given = [...values];
    const sent = this.#last.then(() => this.#client.query<R>(text, given));
    this.#last = sent.catch(() => {});
    return sent;
  }
}

/** `_tools` are what you will want there. */
function todo(what: string, _tools: readonly unknown[] = []): never {
  throw new Error(`${what} is not written yet: its comment in attempt/index.ts is the task.`);
}
