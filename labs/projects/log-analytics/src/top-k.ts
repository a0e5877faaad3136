import { checkWhole } from './errors.ts';

export interface Heavy {
  readonly key: string;
  /** At most this often, and at least `count - error` times. */
  readonly count: number;
  readonly error: number;
}

/**
 * The most frequent keys of a stream in bounded memory. With n keys added and `size` places, whatever came more often than
 * n / size times is here, and no count is too high by more than that.
 * @see Metwally, Agrawal, El Abbadi: Efficient computation of frequent and top-k elements in data streams, ICDT 2005 (Space-Saving)
 */
export class TopK {
  readonly size: number;
  protected readonly counters = new Map<string, { count: number; error: number }>();

  /** @param entries of one that was kept: it goes on with as many places as it had. @throws InvalidArgumentError */
  constructor(size: number, entries: Iterable<readonly [string, number, number]> = []) {
    checkWhole('size', size, 1, 100_000);
    for (const [key, count, error] of entries) this.counters.set(key, { count, error });
    // One that has given a place away has none that is free: whoever is not here may have been.
    const full = [...this.counters.values()].some(({ error }) => error > 0);
    this.size = full ? this.held : Math.max(size, this.held);
  }

  /** How many keys are held. */
  get held(): number {
    return this.counters.size;
  }

  add(key: string): void {
    const known = this.counters.get(key);
    if (known !== undefined) known.count += 1;
    else if (this.held < this.size) this.counters.set(key, { count: 1, error: 0 });
    else {
      const [least, { count }] = this.least();
      this.counters.delete(least);
      // It may have been here before and given up its place: at most as often as the one whose place it takes.
      this.counters.set(key, { count: count + 1, error: count });
    }
  }

  /** Adds another summary. A key that one of them does not hold came there at most as often as its least. @see Agarwal et al., Mergeable summaries, PODS 2012 */
  merge(other: TopK): void {
    const floors = [this, other].map((it) => (it.held < it.size ? 0 : it.least()[1].count));
    const sum = new Map<string, { count: number; error: number }>();
    for (const key of new Set([...this.counters.keys(), ...other.counters.keys()])) {
      const both = [this, other].map((it, n) => {
        const floor = floors[n] ?? 0;
        return it.counters.get(key) ?? { count: floor, error: floor };
      });
      const add = (field: 'count' | 'error') => both.reduce((total, it) => total + it[field], 0);
      sum.set(key, { count: add('count'), error: add('error') });
    }
    this.counters.clear();
    const kept = [...sum].sort(([, a], [, b]) => b.count - a.count).slice(0, this.size);
    for (const [key, counter] of kept) this.counters.set(key, counter);
  }

  top(count: number): Heavy[] {
    const all = [...this.counters].map(([key, counter]) => ({ key, ...counter }));
    return all.sort((a, b) => b.count - a.count || (a.key < b.key ? -1 : 1)).slice(0, count);
  }

  toJSON(): [string, number, number][] {
    return [...this.counters].map(([key, { count, error }]) => [key, count, error]);
  }

  /** The key with the lowest count. There has to be one. */
  protected least(): [string, { count: number; error: number }] {
    let found: [string, { count: number; error: number }] = ['', { count: Number.POSITIVE_INFINITY, error: 0 }];
    for (const entry of this.counters) if (entry[1].count < found[1].count) found = entry;
    return found;
  }
}
