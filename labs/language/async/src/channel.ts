import { ChannelClosedError } from './errors.ts';
import { Line } from './line.ts';
import { type WaitOptions, wholeNumber } from './options.ts';

/**
 * A shelf between producers and consumers with room for `capacity` values: who is faster waits for the other. Values come
 * out in the order they went in, each once.
 *
 * Source: asyncio.Queue and its `shutdown`, https://docs.python.org/3/library/asyncio-queue.html
 */
export class Channel<T> implements AsyncIterable<T, void, void> {
  readonly #capacity: number;
  // Two stacks make a queue: the first of an array would take as long to remove as the array has room.
  #incoming: { readonly brought: T }[] = [];
  #outgoing: { readonly brought: T }[] = [];
  readonly #getters = new Line<T>();
  readonly #putters = new Line<void, T>();
  #closed = false;

  /** @throws InvalidArgumentError on what is no whole number of places, 1 or more. */
  constructor(capacity: number) {
    this.#capacity = wholeNumber('The capacity', capacity);
  }

  /** Values on the shelf. */
  get size(): number {
    return this.#incoming.length + this.#outgoing.length;
  }

  /**
   * Resolves when the value is on the shelf or in somebody's hands.
   * @throws ChannelClosedError, or the signal's reason: then the value isn't and never will be.
   */
  async put(value: T, { signal }: WaitOptions = {}): Promise<void> {
    signal?.throwIfAborted();
    if (this.#closed) throw closed();
    const getter = this.#getters.next();
    if (getter) getter.serve(value);
    else if (this.size < this.#capacity) this.#incoming.push({ brought: value });
    else await this.#putters.join(value, signal);
  }

  /** The next value. @throws ChannelClosedError when it is closed and empty; the signal's reason: then no value is lost. */
  async get({ signal }: WaitOptions = {}): Promise<T> {
    signal?.throwIfAborted();
    if (this.#outgoing.length === 0) {
      this.#outgoing = this.#incoming.reverse();
      this.#incoming = [];
    }
    const first = this.#outgoing.pop();
    if (!first) {
      if (this.#closed) throw closed();
      return this.#getters.join(undefined, signal);
    }
    const putter = this.#putters.next();
    if (putter) {
      this.#incoming.push(putter);
      putter.serve();
    }
    return first.brought;
  }

  /**
   * Nothing more can be put; who waits to put or to get is woken with a ChannelClosedError. What is on the shelf can still
   * be taken, unless `immediate`: then it is thrown away.
   */
  close(immediate = false): void {
    this.#closed = true;
    if (immediate) [this.#incoming, this.#outgoing] = [[], []];
    for (const line of [this.#putters, this.#getters]) {
      for (let next = line.next(); next; next = line.next()) next.dismiss(closed());
    }
  }

  /** Gets until the channel is closed and empty. Who breaks off leaves the rest to other consumers. */
  [Symbol.asyncIterator](): AsyncIterator<T, void, void> {
    const leaving = new AbortController();
    const done: IteratorReturnResult<void> = { done: true, value: undefined };
    return {
      next: async () => {
        try {
          return { done: false, value: await this.get({ signal: leaving.signal }) };
        } catch (error) {
          if (leaving.signal.aborted || error instanceof ChannelClosedError) return done;
          throw error;
        }
      },
      return: async () => {
        leaving.abort();
        return done;
      },
    };
  }
}

const closed = () => new ChannelClosedError('The channel is closed.');
