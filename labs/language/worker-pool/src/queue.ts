interface Lane<T> {
  readonly priority: number;
  readonly items: Set<T>;
  /** Goes on where it stood: a Set that is emptied from its front is slow to begin anew. */
  readonly cursor: Iterator<T>;
}

/** What waits: the highest priority first, and among equals what came first. */
export class PriorityQueue<T extends { readonly priority: number }> {
  readonly #lanes: Lane<T>[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(item: T): void {
    const { priority } = item;
    let at = this.#lanes.findIndex((lane) => lane.priority <= priority);
    if (at < 0) at = this.#lanes.length;
    if (this.#lanes[at]?.priority !== priority) {
      const items = new Set<T>();
      this.#lanes.splice(at, 0, { priority, items, cursor: items.values() });
    }
    this.#lanes[at]?.items.add(item);
    this.#size++;
  }

  /** Takes out what is next; undefined when nothing waits. */
  take(): T | undefined {
    for (let [lane] = this.#lanes; lane; [lane] = this.#lanes) {
      const { value, done } = lane.cursor.next();
      if (!done) {
        this.drop(value);
        return value;
      }
      this.#lanes.shift();
    }
    return undefined;
  }

  /** Takes out an item wherever it is, if it is. */
  drop(item: T): void {
    const lane = this.#lanes.find(({ priority }) => priority === item.priority);
    if (lane?.items.delete(item)) this.#size--;
  }
}
