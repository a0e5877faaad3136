import { setImmediate } from 'node:timers/promises';
import { named, whole } from './errors.ts';
import type { Layer, OnEvent } from './layers.ts';
import { type BloomShape, bloomShape, type Fingerprint, fingerprint } from './sizing.ts';

export interface FilterOptions {
  /** n: how many ids the filter is made for. With more of them it lets more pass; it never refuses one of them. */
  readonly capacity: number;
  /** p: the share of unknown ids that it lets pass once `capacity` ids are in. Default 0.01. */
  readonly fpp?: number;
  /**
   * Keeps an attacker from choosing ids that pass. The same in all processes that share a filter: as soon as one writes
   * under another, the shared filter lets everybody pass until a rebuild. That comes `pendingMs` after the last process
   * with the old one has ended; the old bits stay in Redis. Default "".
   */
  readonly secret?: string;
  /**
   * The longest time from `add` to the commit of its row, in milliseconds: for so long a rebuild that has just begun
   * carries the id over, since the database may not show the row yet. Default 60 s.
   */
  readonly pendingMs?: number;
  readonly onEvent?: OnEvent;
}

export interface FilterStats extends BloomShape {
  /** Share of bits that are set: a full filter is one half. */
  readonly fill: number;
  /** How many ids that comes from, roughly. Above `capacity` it's time for a rebuild with a larger one. */
  readonly ids: number;
  /** The false-positive rate now: fill^k. */
  readonly fpp: number;
}

/** What a doorman answers: `unknown` has certainly never been added, `missing` there is no filter to ask. */
export type Answer = 'maybe' | 'unknown' | 'missing';

/**
 * A set that is asked before the cache (门卫筛查). It may say yes to a stranger, with a rate that you choose, and never
 * no to an id that was added. Nothing can be removed: a bit belongs to many ids. A rebuild drops the dead ones.
 * A filter that is missing, evicted, or out of reach lets everybody pass.
 */
export abstract class Filter {
  protected readonly shape: BloomShape;
  protected readonly capacity: number;
  protected readonly pendingMs: number;
  protected readonly onEvent: OnEvent;
  readonly #secret: string;

  /** @throws InvalidArgumentError on a capacity, `fpp` or `pendingMs` that no filter can be made from. */
  constructor(options: FilterOptions) {
    this.shape = bloomShape(options.capacity, options.fpp ?? 0.01);
    this.capacity = options.capacity;
    this.pendingMs = whole('pendingMs', options.pendingMs ?? 60_000, 0, Number.MAX_SAFE_INTEGER);
    this.onEvent = options.onEvent ?? (() => {});
    this.#secret = options.secret ?? '';
  }

  /**
   * Call it *before* the commit of a row with this id: afterwards would be too late for whoever asks in between.
   * @throws FilterUnavailableError when the id couldn't be added, InvalidArgumentError when nobody could ask for it: don't
   *   commit the row.
   */
  async add(...ids: readonly string[]): Promise<void> {
    if (ids.length > 0) await this.insert(ids.map((id) => this.fingerprint(named('The id', id))));
  }

  /**
   * False: this id was certainly never added. True: perhaps, or there's no filter to ask. Never rejects on Redis.
   * @throws InvalidArgumentError on an id that is empty or above 512 characters.
   */
  async mayContain(id: string): Promise<boolean> {
    return this.passes(await this.ask(this.fingerprint(named('The id', id))));
  }

  /**
   * Builds a new filter from all `ids` beside the one in use, and changes over in one step. What is added meanwhile
   * goes into both. `ids` must read the database when it is asked for the first, not before, as a generator does.
   *
   * @returns how many ids it read. @throws what `ids` throws, what Redis throws, and RebuildLostError when another
   *   rebuild has taken over; the filter in use stays as it is.
   */
  async rebuild(ids: AsyncIterable<string> | Iterable<string>): Promise<number> {
    const build = await this.begin();
    let count = 0;
    try {
      let batch: Fingerprint[] = [];
      for await (const id of ids) {
        batch.push(this.fingerprint(id));
        if (batch.length === 1_000) {
          await build.add(batch);
          count += batch.length;
          batch = [];
          // `ids` may have them all at hand, and the process would serve nobody until the last.
          await setImmediate();
        }
      }
      await build.add(batch);
      count += batch.length;
      await build.swap();
    } catch (error) {
      await build.abandon();
      throw error;
    }
    if (count > this.capacity) this.onEvent({ type: 'over-capacity', ids: count, capacity: this.capacity });
    return count;
  }

  /** What the filter in use is made of; undefined when there's none. @throws what Redis throws. */
  abstract stats(): Promise<FilterStats | undefined>;

  /** Refuses what was never added. The ids of the filter are the cache's keys. */
  layer(): Layer {
    return {
      read: async (key, load, next) =>
        (await this.mayContain(key)) ? next(key, load) : { value: null, source: 'refused', ageMs: 0 },
    };
  }

  protected passes(answer: Answer): boolean {
    if (answer === 'missing') this.onEvent({ type: 'filter-missing' });
    return answer !== 'unknown';
  }

  protected fingerprint(id: string): Fingerprint {
    return fingerprint(this.#secret, id);
  }

  protected abstract ask(print: Fingerprint): Answer | Promise<Answer>;
  protected abstract insert(prints: readonly Fingerprint[]): Promise<void>;
  protected abstract begin(): Promise<Build>;
}

/** A filter that is being built beside the one in use. */
export interface Build {
  add(prints: readonly Fingerprint[]): Promise<void>;
  swap(): Promise<void>;
  abandon(): Promise<void>;
}

/** The state of a filter with `set` bits set. */
export function statsOf(shape: BloomShape, set: number): FilterStats {
  const fill = set / shape.bits;
  const ids = fill < 1 ? Math.round((-shape.bits / shape.hashes) * Math.log(1 - fill)) : Number.POSITIVE_INFINITY;
  return { ...shape, fill, ids, fpp: fill ** shape.hashes };
}
