/** The roadmap's `Stack(Generic[T])`. Its `pop() -> T` promises an item that an empty stack doesn't have; this one doesn't. */
export class Stack<T> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** The newest item, or undefined where there is none. Where `undefined` may itself be an item, ask `size` before. */
  pop(): T | undefined {
    return this.#items.pop();
  }
}
