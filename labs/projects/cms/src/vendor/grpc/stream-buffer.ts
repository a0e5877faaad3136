import { Code, ConnectError } from '@connectrpc/connect';
import { countWithin } from './errors.ts';

interface Entry<T> {
  readonly value: T;
  readonly accept: () => void;
  readonly refuse: (reason: unknown) => void;
}

/**
 * Between a source that pushes (events, a socket, a cursor) and a stream that one reader pulls.
 * HTTP/2's flow control stops our writes when the reader doesn't read; this carries the stop to the source: `push`
 * resolves when there is room. A handler's stream is the buffer itself: `return buffer`.
 */
export class StreamBuffer<T> implements AsyncIterable<T, undefined> {
  /** By number, so that the first one leaves without the others moving up. The first `limit` of them have been accepted. */
  readonly #queue = new Map<number, Entry<T>>();
  #first = 0;
  readonly #signal: AbortSignal | undefined;
  protected readonly limit: number;
  #waking: (() => void)[] = [];
  /** Why nothing is taken any more, and what the reader gets behind the last value. */
  #over: { readonly refusal: unknown; readonly error?: unknown } | undefined;
  #taken = false;

  /**
   * @param options.limit Values that wait for the reader at most. Default 16.
   * @param options.signal The call's (`context.signal`): when it aborts, the reader is gone, and who pushes hears of it.
   * @throws BadRpcOptionError on a limit that is no whole number from 1 on.
   */
  constructor(options: { readonly limit?: number; readonly signal?: AbortSignal } = {}) {
    this.limit = countWithin('limit', options.limit ?? 16, 1, Number.MAX_SAFE_INTEGER);
    this.#signal = options.signal;
    this.#signal?.addEventListener('abort', this.#onAbort);
    if (this.#signal?.aborted) this.#onAbort();
  }

  /** Values that wait for the reader. */
  get size(): number {
    return this.#queue.size;
  }

  /**
   * Resolves when the value has been accepted, in the order of the calls: at once while there is room.
   * @throws the signal's reason, or ConnectError CANCELED, when the reader is gone; FAILED_PRECONDITION after `end`.
   */
  async push(value: T): Promise<void> {
    if (this.#over) throw this.#over.refusal;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#queue.set(this.#first + this.size, { value, accept: resolve, refuse: reject });
    this.#wake();
    if (this.hasRoom()) resolve();
    return promise;
  }

  /** No more values: the reader has all that were pushed, then the end, or `error`. */
  end(error?: unknown): void {
    this.#close({ refusal: new ConnectError('The stream has ended.', Code.FailedPrecondition), error });
  }

  /** @throws ConnectError FAILED_PRECONDITION to a second reader. */
  [Symbol.asyncIterator](): AsyncIterator<T, undefined> {
    if (this.#taken) throw new ConnectError('A stream buffer has one reader.', Code.FailedPrecondition);
    this.#taken = true;
    let before: Promise<unknown> = Promise.resolve();
    return {
      // Who asks first has the first value.
      next: () => {
        const mine = before.then(() => this.#next());
        before = mine.catch(() => {});
        return mine;
      },
      return: async () => {
        this.#leave(new ConnectError('The reader has left.', Code.Canceled));
        return { done: true, value: undefined };
      },
    };
  }

  /** Whether the newest value may wait without its source. */
  protected hasRoom(): boolean {
    return this.size <= this.limit;
  }

  async #next(): Promise<IteratorResult<T, undefined>> {
    while (this.size === 0 && !this.#over) await new Promise<void>((wake) => this.#waking.push(wake));
    const entry = this.#queue.get(this.#first);
    if (entry) this.#queue.delete(this.#first++);
    this.#queue.get(this.#first + this.limit - 1)?.accept();
    this.#letGo();
    if (entry) return { done: false, value: entry.value };
    if (this.#over?.error !== undefined) throw this.#over.error;
    return { done: true, value: undefined };
  }

  readonly #onAbort = () => this.#leave(this.#signal?.reason);

  /** Nobody reads on: what waits is dropped, and its sources are told. */
  #leave(reason: unknown): void {
    const dropped = [...this.#queue.values()];
    this.#queue.clear();
    for (const { refuse } of dropped) refuse(reason);
    // Behind values that are lost there is no end that one could take for a whole stream's.
    if (dropped.length > 0) this.#over = undefined;
    this.#close({ refusal: reason, error: reason });
  }

  #close(over: { readonly refusal: unknown; readonly error?: unknown }): void {
    this.#over ??= over;
    this.#letGo();
    this.#wake();
  }

  /** After `end` the reader can still leave, as long as values wait for him. */
  #letGo(): void {
    if (this.#over && this.size === 0) this.#signal?.removeEventListener('abort', this.#onAbort);
  }

  #wake(): void {
    for (const wake of this.#waking.splice(0)) wake();
  }
}
