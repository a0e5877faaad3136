interface Lane<T> {
  readonly priority: number;
  readonly items: Set<T>;
  /** Goes on where it stood: a Set that is emptied from its front is slow to begin anew. */
  readonly cursor: Iterator<T>;
}

/** What waits: the highest priority first, and among equals what came first. */
export class PriorityQueue<T extends { readonly priority: number }> {
  /** By priority, the highest last: there are many when each task has one of its own, as a deadline is. */
  readonly #lanes: Lane<T>[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(item: T): void {
    const { priority } = item;
    const at = this.#find(priority);
    if (this.#lanes[at]?.priority !== priority) {
      const items = new Set<T>();
      this.#lanes.splice(at, 0, { priority, items, cursor: items.values() });
    }
    this.#lanes[at]?.items.add(item);
    this.#size++;
  }

  /** Takes out what is next; undefined when nothing waits. */
  take(): T | undefined {
    for (let lane = this.#lanes.at(-1); lane; lane = this.#lanes.at(-1)) {
      const { value, done } = lane.cursor.next();
      if (!done) {
        this.drop(value);
        return value;
      }
      this.#lanes.pop();
    }
    return undefined;
  }

  /** Takes out an item wherever it is, if it is. */
  drop(item: T): void {
    const lane = this.#lanes[this.#find(item.priority)];
    if (lane?.items.delete(item)) this.#size--;
  }

  /** Where the lane of a priority is, or has to be. */
  #find(priority: number): number {
    let [from, to] = [0, this.#lanes.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((this.#lanes[middle]?.priority ?? priority) < priority) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}
