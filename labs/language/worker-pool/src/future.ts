import { CancelledError, InvalidStateError, inWords } from './errors.ts';

export type FutureState = 'pending' | 'running' | 'succeeded' | 'failed' | 'cancelled';

/**
 * The result of a task that may not have started yet. It can be awaited, cancelled while it waits, and asked.
 *
 * An error stays in the future until somebody awaits it: as in Python, a future that nobody looks at fails in silence.
 * Source: https://docs.python.org/3/library/concurrent.futures.html#future-objects
 */
export class Future<R> implements PromiseLike<R> {
  #state: FutureState = 'pending';
  #error: unknown;
  #callbacks = new Set<() => void>();
  // Methods: a Future<string> is then a Future<unknown>.
  readonly #result: { promise: Promise<R>; resolve(value: R): void; reject(error: unknown): void } =
    Promise.withResolvers<R>();

  constructor() {
    this.#result.promise.catch(() => {});
  }

  get state(): FutureState {
    return this.#state;
  }

  get running(): boolean {
    return this.#state === 'running';
  }

  /** Succeeded, failed or cancelled. */
  get done(): boolean {
    return this.#state !== 'pending' && this.#state !== 'running';
  }

  get cancelled(): boolean {
    return this.#state === 'cancelled';
  }

  /** What the task threw or the pool says, once it has failed or was cancelled. */
  get error(): unknown {
    return this.#error;
  }

  /** @returns whether the task will never run: false once it has started. To end a running task, abort its signal. */
  cancel(): boolean {
    if (this.#state === 'pending') {
      this.settle('cancelled', new CancelledError('The task was cancelled before it started.'));
    }
    return this.#state === 'cancelled';
  }

  /**
   * For executors: the task is about to run.
   * @returns false when it was cancelled or failed while it waited, and must not run.
   * @throws InvalidStateError when it runs or ran already.
   */
  start(): boolean {
    if (this.#state === 'cancelled' || this.#state === 'failed') return false;
    if (this.#state !== 'pending') throw new InvalidStateError(`A future that is ${this.#state} can't be started.`);
    this.#state = 'running';
    return true;
  }

  /** For executors. @throws InvalidStateError when it is done already. */
  resolve(value: R): void {
    this.#assertOpen();
    this.#result.resolve(value);
    this.settle('succeeded');
  }

  /** For executors. @throws InvalidStateError when it is done already. */
  reject(error: unknown): void {
    this.#assertOpen();
    this.settle('failed', error);
  }

  /**
   * Calls `callback` once when the future is done: at once, when it is already. One that throws becomes a warning of the
   * process, and the others are called all the same.
   * @returns a function that takes the callback back.
   */
  onDone(callback: (future: Future<R>) => unknown): () => void {
    const call = () => {
      try {
        callback(this);
      } catch (error) {
        process.emitWarning(`A callback of a future threw: ${inWords(error instanceof Error ? error.stack : error)}`);
      }
    };
    if (this.done) call();
    else this.#callbacks.add(call);
    return () => void this.#callbacks.delete(call);
  }

  // biome-ignore lint/suspicious/noThenProperty: a future can be awaited.
  then<A = R, B = never>(
    onResult?: ((value: R) => A | PromiseLike<A>) | null,
    onError?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#result.promise.then(onResult, onError);
  }

  #assertOpen(): void {
    if (this.done) throw new InvalidStateError(`The future is ${this.#state} already.`);
  }

  protected settle(state: FutureState, error?: unknown): void {
    this.#state = state;
    if (state !== 'succeeded') {
      this.#error = error;
      this.#result.reject(error);
    }
    const callbacks = this.#callbacks;
    this.#callbacks = new Set();
    for (const call of callbacks) call();
  }
}
