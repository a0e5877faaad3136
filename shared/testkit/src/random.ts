/** A repeatable source of randomness: the same seed gives the same sequence on every machine. */
export interface Random {
  /** The next number in [0, 1). */
  next(): number;
  /** A whole number from `lo` to `hi`, both included. */
  int(lo: number, hi: number): number;
  /** One element. @throws {RangeError} when the list is empty. */
  pick<T>(xs: readonly T[]): T;
  /** A shuffled copy; the argument stays as it is. */
  shuffle<T>(xs: readonly T[]): T[];
}

/** mulberry32: 32 bits of state, good enough to vary a schedule, no good for secrets. */
export function random(seed: number): Random {
  let state = seed | 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const int = (lo: number, hi: number): number => lo + Math.floor(next() * (hi - lo + 1));
  return {
    next,
    int,
    pick(xs) {
      if (xs.length === 0) throw new RangeError('cannot pick from an empty list');
      return xs[int(0, xs.length - 1)] as (typeof xs)[number];
    },
    shuffle(xs) {
      const keyed = xs.map((x) => ({ x, key: next() }));
      return keyed.sort((a, b) => a.key - b.key).map(({ x }) => x);
    },
  };
}
