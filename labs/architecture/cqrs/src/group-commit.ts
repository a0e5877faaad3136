import { StoreError } from './errors.ts';
import { isPassing } from './transaction.ts';

interface Waiting<T> {
  readonly entry: T;
  readonly size: number;
  readonly resolve: (result: bigint | null) => void;
  readonly reject: (error: unknown) => void;
}

/** What goes together at most, in characters and in entries. */
const MOST = { size: 2 ** 20, entries: 500 };

/**
 * Group commit: what comes in while a write is under way waits for it, and then goes together in the next one. Nobody waits
 * for company: the first goes at once, and the groups are as large as the crowd. They go one after the other, in the order
 * in which they came.
 *
 * Source: DeWitt et al., Implementation Techniques for Main Memory Database Systems (1984).
 */
export class GroupCommit<T> {
  protected readonly write: (entries: readonly T[]) => Promise<readonly (bigint | null)[]>;
  readonly #waiting: Waiting<T>[] = [];
  #underWay = false;

  /** @param write Writes all of them or none. */
  constructor(write: (entries: readonly T[]) => Promise<readonly (bigint | null)[]>) {
    this.write = write;
  }

  /** @returns the entry's own result. @throws StoreError the entry's own, or of the whole group when that was lost */
  add(entry: T, size: number): Promise<bigint | null> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ entry, size, resolve, reject });
      if (!this.#underWay) void this.#empty();
    });
  }

  async #empty(): Promise<void> {
    this.#underWay = true;
    // Whoever adds in this very moment comes along.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const group: Waiting<T>[] = [];
      for (let size = 0, [next] = this.#waiting; next && group.length < MOST.entries; [next] = this.#waiting) {
        size += next.size;
        if (group.length > 0 && size > MOST.size) break;
        group.push(next);
        this.#waiting.shift();
      }
      await this.settle(group);
    }
    this.#underWay = false;
  }

  /** Tells each of a group its own outcome. Never rejects. */
  protected async settle(group: readonly Waiting<T>[]): Promise<void> {
    try {
      const results = await this.write(group.map(({ entry }) => entry));
      for (const [n, { resolve }] of group.entries()) resolve(results[n] ?? null);
    } catch (error) {
      if (group.length > 1 && error instanceof StoreError && !isPassing(error)) {
        // Nothing was written, on account of one of them: which, shows when each goes by itself, in the same order.
        for (const each of group) await this.settle([each]);
        return;
      }
      // Each who hears of it has an error of his own.
      const own = () =>
        error instanceof StoreError ? new StoreError(error.message, error.written, error.cause) : error;
      for (const { reject } of group) reject(own());
    }
  }
}
