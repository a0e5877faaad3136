import {
  type AlarmState,
  type Aside,
  type Change,
  type DeskState,
  type Entry,
  Alarm as GivenAlarm,
  Book as GivenBook,
  Desk as GivenDesk,
  Feed as GivenFeed,
  TopK as GivenTopK,
  Watermark as GivenWatermark,
  type Line,
  type Rule,
  type Seen,
  Sketch,
  type Window,
} from '../src/index.ts';

// What is not the idea is given: lines that are read, options that are checked, tables, the stream, HTTP and the page.
// What is here counts while nothing goes wrong and everybody is on time, and has the flaws that its comments name. Make it count
// each line once, where it belongs. `h` in `pnpm lab learn log-analytics` gives a hint. The classes that are extended here have
// solutions of what is yours: don't call `super` for it.
export * from '../src/index.ts';

export class Watermark extends GivenWatermark {
  /**
   * The time before which no line is expected any more, in milliseconds since the epoch. `this.sources` has for each source the
   * `newest` time on its lines, and when its last lines arrived (`arrivedAt`); `this.o` has `latenessMs` (so far out of order may
   * one source's lines be), `idleMs` (so long without a line, and it isn't waited for) and `holdMs` (so far can one source hold back
   * the newest of all: the result is no less than that one's time less `holdMs`). Where all are idle, time goes on from each newest
   * line by what `now` is past its arrival, and stops at the newest of all plus `windowMs`. Without a source it is -Infinity.
   * `advance` sees to it that it never goes back.
   * Its flaw: it knows of the fastest source alone.
   */
  protected override expected(_now: number): number {
    return Math.max(...[...this.sources.values()].map(({ newest }) => newest)) - this.o.latenessMs;
  }
}

export class Desk extends GivenDesk {
  /**
   * Files each line by `fileLine` that was not filed before, and counts the others in `this.counts.repeated`.
   * `this.positionOf(source)` is what is kept of a source: `next`, the number of the next line that is expected of it, and `missing`,
   * how many lines never came though their successors did. Then it
   * tells the watermark: `this.observe(source, newest, arrivedAt)` with the newest time on a line that is at most `this.o.aheadMs`
   * ahead of its arrival (-Infinity where there is none), and `this.tick(arrivedAt)`, which closes windows.
   * Its flaw: it files what it is given, each time.
   */
  override file({ source, first, lines, arrivedAt }: Entry): void {
    this.positionOf(source).next = first + lines.length;
    for (const [n, text] of lines.entries()) {
      const line = this.parse(text);
      this.fileLine(line, { source, position: first + n, at: line?.at, arrivedAt, text });
    }
    this.observe(source, arrivedAt, arrivedAt);
    this.tick(arrivedAt);
  }

  /**
   * Counts a line in its window, by `this.count(start, line)`, or puts it aside, by `this.putAside(it, reason)`: `malformed` where
   * it is undefined, `future` where it is more than `this.o.aheadMs` ahead of `it.arrivedAt`, `late` where its window ends at or
   * before `this.watermark.time`. Windows are `this.o.windowMs` wide; `this.startOf(ms)` is where one begins.
   * Its flaw: it counts a line where it arrives.
   */
  protected override fileLine(line: Line | undefined, it: Omit<Aside, 'reason'>): void {
    if (line !== undefined) this.count(this.startOf(it.arrivedAt), line);
  }

  // So that your classes are used.
  protected override newWatermark(sources: Iterable<readonly [string, Seen]>, value: number | undefined): Watermark {
    return new Watermark(this.o, sources, value);
  }

  protected override newWindow(start: number): Window {
    return { ...super.newWindow(start), top: new TopK(this.o.topSize) };
  }

  protected override newAlarm(rule: Rule, state: AlarmState | undefined): Alarm {
    return new Alarm(rule, state);
  }
}

export class TopK extends GivenTopK {
  /**
   * Counts a key, in `this.size` places at most: a `Map` from key to `count` (at least as often as it came) and `error` (the count is
   * too high by this at most) is `this.counters`. What came more often than the n-th part of all, n being the size, is there.
   * `this.least()` is the entry with the lowest count.
   * Its flaw: it has a place for each key that comes.
   */
  override add(key: string): void {
    const known = this.counters.get(key) ?? { count: 0, error: 0 };
    this.counters.set(key, { count: known.count + 1, error: 0 });
  }
}

/**
 * The quantile of all lines of several windows; undefined without a line. A `Sketch` counts lines in `bins`, a `Map` from the
 * number of a bin to how many lines are in it; all sketches have the same bins. Its flaw: it takes that of the first.
 */
export function latencyOf(windows: readonly Sketch[], q: number): number | undefined {
  const [first = new Sketch()] = windows;
  return first.quantile(q);
}

export class Alarm extends GivenAlarm {
  /**
   * Is told of each window that is closed, and says what changes with it: `firing` with the `rule.windows`-th in a row whose share
   * of errors is at least `rule.share`, `over` with as many in a row that are at most at `rule.clear`. A window of fewer than
   * `rule.least` lines says nothing, either way. `this.firing` and `this.streak` (windows in a row that speak for
   * the other state) are yours to set; what they say is kept in the book. Its flaw: it has no patience.
   */
  override judge({ lines, errors }: { readonly lines: number; readonly errors: number }): Change | undefined {
    return errors / lines >= this.rule.share ? 'firing' : 'over';
  }
}

export class Feed<T> extends GivenFeed<T> {
  readonly #queues = new Set<T[]>();

  /** A new value. `this.latest` is for you: `{ value }` of what was published last. `this.wake()` wakes all that wait. */
  override publish(value: T): void {
    for (const queue of this.#queues) queue.push(value);
    this.wake();
  }

  /**
   * Yields the newest value, and whenever it is asked again the newest that it hasn't yielded; there may be others between them.
   * `await this.published(signal)` is over at the next `wake`, or at the abort, which ends `subscribe` without an
   * error. Its flaw: it keeps all for a reader that doesn't come.
   */
  override async *subscribe(signal: AbortSignal): AsyncGenerator<T, void, void> {
    const queue: T[] = [];
    this.#queues.add(queue);
    while (!signal.aborted) {
      const [value] = queue.splice(0, 1);
      if (value === undefined) await this.published(signal);
      else yield value;
    }
  }
}

export class Book extends GivenBook {
  /**
   * Opens the desk, lets `work` file lines there, and keeps its `changes()`: windows and what was put aside by `writeWindows`, up to
   * where by `writePositions`. `this.run(async (tx) => …)` is a transaction: it returns what the function returns, and is rolled
   * back where that throws. `this.memory` spares the next call the reading: it is the desk with its version, which each call makes one
   * higher. `forgetDesk` takes it, so that nobody goes on with a desk whose transaction failed. Its flaw: it does it in steps.
   */
  override async update(work: (desk: GivenDesk) => void): Promise<void> {
    const remembered = this.forgetDesk();
    const { desk, version } = await this.run((tx) => this.openDesk(tx, remembered));
    work(desk);
    const changes = desk.changes();
    await this.run((tx) => this.writeWindows(tx, changes));
    await this.run((tx) => this.writePositions(tx, changes, desk));
    this.memory = { desk, version: version + 1 };
  }

  // So that your desk is used.
  protected override newDesk(state?: DeskState): Desk {
    return new Desk(this.options, state);
  }
}
