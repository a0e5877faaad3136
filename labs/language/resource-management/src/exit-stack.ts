import { type ContextManager, type Ending, type Entered, exitAndThrow, holding } from './context.ts';
import { DisposedError, NotDisposableError, ReentrantError } from './errors.ts';
import { once } from './once.ts';
import { chain } from './suppressed.ts';

/** Is told how the body ended. `'handled'` ends its error; any other answer changes nothing. */
export type Exit = (ending: Ending) => unknown;

/** What an ExitStack answers: an exit in it may have handled the error. */
export type Handled = 'handled' | undefined;

/**
 * Exits, run in reverse order, each once and after the one before it: nested `with` blocks whose number is known only
 * at run time. An exit that throws stops no other; it replaces the error, for the exits that follow too.
 * All methods but the closing ones throw DisposedError once it is closed.
 */
export class ExitStack implements ContextManager<ExitStack, Handled>, AsyncDisposable {
  protected exits: Exit[] = [];
  #closed = false;
  #entered = false;

  /**
   * Runs all exits. `'handled'` when the error of the body has been. Whoever closes again waits for the first closing.
   *
   * @throws what the exits threw, see `chain`; ReentrantError to an exit that closes its own stack
   */
  readonly exit: (ending: Ending) => Promise<Handled> = once((ending: Ending) => {
    this.#closed = true;
    return this.unwind(ending);
  });

  /** Enters `manager`, and exits it with this stack. */
  async enterContext<T>(manager: ContextManager<T, unknown>): Promise<T> {
    this.#assertOpen();
    const held = await manager.enter();
    if (this.#closed) return exitAndThrow(held, new DisposedError('The stack'));
    this.exits.push((ending) => held.exit(ending));
    return held.value;
  }

  /** Disposes of `resource` with this stack; null and undefined need nothing. @throws NotDisposableError */
  use<T extends Disposable | AsyncDisposable | null | undefined>(resource: T): T {
    if (resource === null || resource === undefined) this.#assertOpen();
    else this.callback(disposer(resource));
    return resource;
  }

  /** An exit that sees the error, and may handle it. */
  push(exit: Exit): void {
    this.#assertOpen();
    this.exits.push(exit);
  }

  /** Calls `fn(...args)` with this stack; it sees no error and handles none. */
  callback<P extends readonly unknown[]>(fn: (...args: P) => unknown, ...args: P): void {
    this.push(async () => void (await fn(...args)));
  }

  /** Moves all exits to a new stack, which is the caller's to close. This one is empty then, and open. */
  popAll(): ExitStack {
    this.#assertOpen();
    const heir = new ExitStack();
    heir.exits = this.exits;
    this.exits = [];
    return heir;
  }

  /** Runs all exits, told that all went well. */
  async close(): Promise<void> {
    await this.exit({ kind: 'returned' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.exit({ kind: 'unknown' });
  }

  /** @throws ReentrantError the second time: the inner block would close what the outer one still uses */
  enter(): Entered<this, Handled> {
    this.#assertOpen();
    if (this.#entered) throw new ReentrantError('The stack is entered already: make a new one for the block inside.');
    this.#entered = true;
    return holding(this, this.exit);
  }

  protected async unwind(ending: Ending): Promise<Handled> {
    let now = ending;
    for (const exit of this.exits.splice(0).reverse()) {
      try {
        if ((await exit(now)) === 'handled' && now.kind === 'threw') now = settled(ending);
      } catch (error) {
        now = { kind: 'threw', error: now.kind === 'threw' ? chain(error, now.error) : error };
      }
    }
    if (now.kind !== 'threw') return ending.kind === 'threw' ? 'handled' : undefined;
    // The body's own error is thrown on by whoever ran the body.
    if (ending.kind === 'threw' && now.error === ending.error) return undefined;
    throw now.error;
  }

  #assertOpen(): void {
    if (this.#closed) throw new DisposedError('The stack');
  }
}

/** How it ended, once its error has been handled. */
const settled = (ending: Ending): Ending => (ending.kind === 'threw' ? { kind: 'returned' } : ending);

function disposer(resource: Disposable | AsyncDisposable): () => unknown {
  const dispose: unknown =
    Reflect.get(Object(resource), Symbol.asyncDispose) ?? Reflect.get(Object(resource), Symbol.dispose);
  if (typeof dispose !== 'function') throw new NotDisposableError(resource);
  return () => Reflect.apply(dispose, resource, []);
}
