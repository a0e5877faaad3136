/** How far a source has come. */
export interface Seen {
  /** Milliseconds since the epoch: the newest time on its lines. */
  readonly newest: number;
  /** When its last lines arrived, by the clock of Redis. */
  readonly arrivedAt: number;
}

export interface WatermarkOptions {
  /** The width of a window, in milliseconds. Default 10,000. */
  readonly windowMs: number;
  /** Milliseconds by which lines of one source may be out of order. Default 5,000. */
  readonly latenessMs: number;
  /** Milliseconds without a line after which a source is waited for no more. Default 30,000. */
  readonly idleMs: number;
  /** Milliseconds by which one source can hold back the others: it bounds how many windows are open. Default 600,000. */
  readonly holdMs: number;
}

/**
 * The time before which no line is expected any more: a window that ends there can be closed.
 * @see Akidau et al., The Dataflow Model, VLDB 2015
 */
export class Watermark {
  protected readonly o: WatermarkOptions;
  protected readonly sources = new Map<string, Seen>();
  protected value: number;

  constructor(o: WatermarkOptions, sources: Iterable<readonly [string, Seen]> = [], value = Number.NEGATIVE_INFINITY) {
    this.o = o;
    this.value = value;
    for (const [source, seen] of sources) this.sources.set(source, seen);
  }

  /** Milliseconds since the epoch; -Infinity before the first line. */
  get time(): number {
    return this.value;
  }

  /** Lines of this source have arrived, the newest of them with this time. */
  observe(source: string, newest: number, arrivedAt: number): void {
    const before = this.sources.get(source)?.newest ?? newest;
    this.sources.set(source, { newest: Math.max(before, newest), arrivedAt });
  }

  /** Moves on, never back. @param now by the clock of Redis */
  advance(now: number): number {
    this.value = Math.max(this.value, this.expected(now));
    return this.value;
  }

  protected expected(now: number): number {
    const { windowMs, latenessMs, idleMs, holdMs } = this.o;
    let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    let [last, clock] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
    // In one pass that makes nothing: it is asked for each entry, and there may be many thousand sources.
    for (const { newest, arrivedAt } of this.sources.values()) {
      // A clock that is ahead of ours hurries nobody.
      const passed = Math.min(newest, arrivedAt);
      last = Math.max(last, newest);
      clock = Math.max(clock, passed + now - arrivedAt);
      if (now - arrivedAt > idleMs) continue;
      least = Math.min(least, passed);
      most = Math.max(most, passed);
    }
    if (least < Number.POSITIVE_INFINITY) return Math.max(least - latenessMs, most - holdMs);
    // Nobody writes: time goes on by the counter's own clock, or the last window would stay open for ever. Behind its end it
    // stands still: what all have kept for themselves meanwhile is nobody's closed window.
    return Math.min(clock - latenessMs, last + windowMs);
  }
}
