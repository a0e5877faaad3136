import { type Clock, systemClock } from './clock.ts';
import { RebuildLostError } from './errors.ts';
import { type Answer, type Build, Filter, type FilterOptions, type FilterStats, statsOf } from './filter.ts';
import type { BloomShape, Fingerprint } from './sizing.ts';

/** The bitmap itself. */
export class Bitmap {
  readonly shape: BloomShape;
  readonly #bytes: Uint8Array;

  constructor(shape: BloomShape) {
    this.shape = shape;
    this.#bytes = new Uint8Array(Math.ceil(shape.bits / 8));
  }

  set(print: Fingerprint): void {
    const { bits, hashes } = this.shape;
    const step = this.step(print);
    for (let at = print.a % bits, i = 0; i < hashes; i++, at = (at + step) % bits) {
      const byte = Math.floor(at / 8);
      this.#bytes[byte] = (this.#bytes[byte] ?? 0) | (1 << (at & 7));
    }
  }

  has(print: Fingerprint): boolean {
    const { bits, hashes } = this.shape;
    const step = this.step(print);
    for (let at = print.a % bits, i = 0; i < hashes; i++, at = (at + step) % bits) {
      if (((this.#bytes[Math.floor(at / 8)] ?? 0) & (1 << (at & 7))) === 0) return false;
    }
    return true;
  }

  /** How many bits are set. */
  count(): number {
    let set = 0;
    for (let byte of this.#bytes) for (; byte; byte &= byte - 1) set++;
    return set;
  }

  /** From bit to bit; never 0, which would be the same bit k times. */
  protected step(print: Fingerprint): number {
    return 1 + (print.b % (this.shape.bits - 1));
  }
}

/**
 * A Bloom filter in this process: no request to Redis, but it knows only what this process adds. A row that another
 * process inserts is refused here until the next rebuild.
 */
export class LocalBloom extends Filter {
  readonly #clock: Clock;
  #current: Bitmap | undefined;
  #next: Bitmap | undefined;
  #recent: { readonly until: number; readonly print: Fingerprint }[] = [];
  #tidy = 0;

  constructor(options: FilterOptions & { readonly clock?: Clock }) {
    super(options);
    this.#clock = options.clock ?? systemClock;
  }

  /** `mayContain` without a promise. */
  has(id: string): boolean {
    return this.passes(this.ask(this.fingerprint(id)));
  }

  async stats(): Promise<FilterStats | undefined> {
    return this.#current && statsOf(this.#current.shape, this.#current.count());
  }

  protected bitmap(): Bitmap {
    return new Bitmap(this.shape);
  }

  protected override ask(print: Fingerprint): Answer {
    if (!this.#current) return 'missing';
    return this.#current.has(print) ? 'maybe' : 'unknown';
  }

  protected override async insert(prints: readonly Fingerprint[]): Promise<void> {
    const now = this.#clock.mono();
    // Not with each: all that stay would be moved for one that goes.
    if (now >= this.#tidy) {
      this.#recent = this.#recent.filter(({ until }) => until > now);
      this.#tidy = now + this.pendingMs;
    }
    for (const print of prints) {
      this.#recent.push({ until: now + this.pendingMs, print });
      this.#current?.set(print);
      this.#next?.set(print);
    }
  }

  protected override async begin(): Promise<Build> {
    const next = this.bitmap();
    const now = this.#clock.mono();
    for (const { until, print } of this.#recent) if (until > now) next.set(print);
    this.#next = next;
    const check = () => {
      if (this.#next !== next) throw new RebuildLostError('Another rebuild of this filter has begun since.');
    };
    return {
      add: async (prints) => {
        check();
        for (const print of prints) next.set(print);
      },
      swap: async () => {
        check();
        this.#current = next;
        this.#next = undefined;
      },
      abandon: async () => {
        if (this.#next === next) this.#next = undefined;
      },
    };
  }
}
