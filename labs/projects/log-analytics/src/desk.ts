import { Alarm, type AlarmState, type Change, type Rule } from './alarm.ts';
import { checkWhole, InvalidArgumentError } from './errors.ts';
import { keepable, type Line, parseLine } from './line.ts';
import { Sketch } from './sketch.ts';
import { TopK } from './top-k.ts';
import { type Seen, Watermark, type WatermarkOptions } from './watermark.ts';

/** Lines of one source, as they arrived. */
export interface Entry {
  readonly source: string;
  /** The number of its first line: a source counts its lines from 0. */
  readonly first: number;
  readonly lines: readonly string[];
  /** Milliseconds since the epoch, by the clock of Redis. */
  readonly arrivedAt: number;
}

export interface DeskOptions extends WatermarkOptions {
  /** Milliseconds by which a line's time may be ahead of its arrival. What is further ahead is not believed. Default 60,000. */
  readonly aheadMs: number;
  /** How many paths a window holds, at most 1,000. Default 100. */
  readonly topSize: number;
  /** Default none. */
  readonly rules: readonly Rule[];
}

/** What is known of the lines of one window; it begins at `start` and ends before `start + windowMs`. */
export interface Window {
  readonly start: number;
  lines: number;
  /** Of them, how many were answered 5xx. */
  errors: number;
  /** How many were answered 1xx, 2xx, 3xx, 4xx and 5xx. */
  readonly statuses: number[];
  readonly latency: Sketch;
  readonly top: TopK;
  closed: boolean;
}

/** Where a source's lines stand. */
export interface Position {
  /** The number of the next line that is expected. */
  next: number;
  /** Lines whose successors came, and which never did. */
  missing: number;
  /** When lines of it came last, whatever they were, by the clock of Redis. */
  arrivedAt: number;
  /** What moved the watermark; undefined while no line of it could be read. */
  seen: Seen | undefined;
}

export interface Aside {
  readonly source: string;
  readonly position: number;
  /** Its window is closed; it can't be read; its time has not come. */
  readonly reason: 'late' | 'malformed' | 'future';
  readonly at: number | undefined;
  readonly arrivedAt: number;
  readonly text: string;
}

export interface Alert {
  readonly rule: string;
  /** The window that brought the change. */
  readonly start: number;
  readonly change: Change;
}

/** Each line is in one of these. */
export interface Counts {
  counted: number;
  late: number;
  malformed: number;
  future: number;
  /** Sent or read again. Where it grows with every call, a source has begun its numbers anew under its old name. */
  repeated: number;
}

/** All that a desk has to know to go on. */
export interface DeskState {
  readonly watermark: number;
  readonly counts: Counts;
  readonly positions: ReadonlyMap<string, Position>;
  /** Those that are open. */
  readonly windows: readonly Window[];
  readonly alarms: ReadonlyMap<string, AlarmState>;
}

/** What has changed since the last time. */
export interface Changes {
  readonly positions: ReadonlyMap<string, Position>;
  readonly windows: readonly Window[];
  readonly aside: readonly Aside[];
  readonly alerts: readonly Alert[];
}

export const NOTHING: Readonly<Counts> = { counted: 0, late: 0, malformed: 0, future: 0, repeated: 0 };

export const DEFAULTS: DeskOptions = {
  windowMs: 10_000,
  latenessMs: 5_000,
  idleMs: 30_000,
  holdMs: 600_000,
  aheadMs: 60_000,
  topSize: 100,
  rules: [],
};

/** Files each line into the window of the time that stands on it. It is all arithmetic: nothing here waits, or reads a clock. */
export class Desk {
  readonly o: DeskOptions;
  readonly counts: Counts;
  protected readonly watermark: Watermark;
  protected readonly positions: Map<string, Position>;
  protected readonly open: Map<number, Window>;
  protected readonly alarms: readonly Alarm[];
  #changed = { positions: new Set<string>(), windows: new Set<Window>() };
  #aside: Aside[] = [];
  #alerts: Alert[] = [];

  /** @throws InvalidArgumentError */
  constructor(options: Partial<DeskOptions> = {}, state?: DeskState) {
    // What is given as undefined is not given.
    const given: Partial<DeskOptions> = Object.fromEntries(
      Object.entries(options).filter(([, it]) => it !== undefined),
    );
    const o = { ...DEFAULTS, ...given };
    for (const name of ['windowMs', 'idleMs', 'holdMs'] as const) checkWhole(name, o[name], 1);
    for (const name of ['latenessMs', 'aheadMs'] as const) checkWhole(name, o[name], 0);
    checkWhole('topSize', o.topSize, 1, 1_000);
    if (new Set(o.rules.map(({ name }) => name)).size < o.rules.length) {
      throw new InvalidArgumentError('rules', o.rules.map(({ name }) => name).join(', '), 'each a name of its own');
    }
    this.o = o;
    this.counts = { ...NOTHING, ...state?.counts };
    this.positions = new Map(state?.positions);
    this.open = new Map(state?.windows.map((window) => [window.start, window]));
    this.alarms = o.rules.map((rule) => this.newAlarm(rule, state?.alarms.get(rule.name)));
    const seen = [...this.positions].flatMap(([source, { seen }]) => (seen ? [[source, seen] as const] : []));
    this.watermark = this.newWatermark(seen, state?.watermark);
  }

  /** Counts each line that has not been counted, where it belongs. */
  file({ source, first, lines, arrivedAt }: Entry): void {
    const position = this.positionOf(source);
    position.missing += Math.max(0, first - position.next);
    this.counts.repeated += Math.min(lines.length, Math.max(0, position.next - first));
    let newest = Number.NEGATIVE_INFINITY;
    // What is behind its source's position has been counted: it was sent, or read, a second time.
    for (const [n, text] of lines.entries()) {
      if (first + n < position.next) continue;
      const line = this.parse(text);
      if (line !== undefined && line.at <= arrivedAt + this.o.aheadMs) newest = Math.max(newest, line.at);
      this.fileLine(line, { source, position: first + n, at: line?.at, arrivedAt, text });
    }
    position.next = Math.max(position.next, first + lines.length);
    this.observe(source, newest, arrivedAt);
    this.tick(arrivedAt);
  }

  /** Closes what the watermark has passed, the oldest first. @param now by the clock of Redis */
  tick(now: number): void {
    const time = this.watermark.advance(now);
    const passed = [...this.open.values()].filter(({ start }) => start + this.o.windowMs <= time);
    for (const window of passed.sort((a, b) => a.start - b.start)) {
      window.closed = true;
      this.open.delete(window.start);
      this.#changed.windows.add(window);
      for (const alarm of this.alarms) {
        const change = alarm.judge(window);
        if (change !== undefined) this.#alerts.push({ rule: alarm.rule.name, start: window.start, change });
      }
    }
  }

  /** What has changed since this was asked last, to be kept. */
  changes(): Changes {
    const { positions, windows } = this.#changed;
    const changes: Changes = {
      positions: new Map([...positions].map((source) => [source, this.positionOf(source)])),
      windows: [...windows],
      aside: this.#aside,
      alerts: this.#alerts,
    };
    this.#changed = { positions: new Set(), windows: new Set() };
    this.#aside = [];
    this.#alerts = [];
    return changes;
  }

  /** Milliseconds since the epoch; -Infinity before the first line. */
  get time(): number {
    return this.watermark.time;
  }

  alarmStates(): [string, AlarmState][] {
    return this.alarms.map((alarm) => [alarm.rule.name, alarm.toJSON()]);
  }

  protected fileLine(line: Line | undefined, it: Omit<Aside, 'reason'>): void {
    if (line === undefined) this.putAside(it, 'malformed');
    else if (line.at > it.arrivedAt + this.o.aheadMs) this.putAside(it, 'future');
    else {
      const start = this.startOf(line.at);
      const closed = start + this.o.windowMs <= this.watermark.time;
      if (closed) this.putAside(it, 'late');
      else this.count(start, line);
    }
  }

  protected startOf(at: number): number {
    return Math.floor(at / this.o.windowMs) * this.o.windowMs;
  }

  /** Adds a line to the window that begins there. */
  protected count(start: number, { status, ms, path }: Line): void {
    const window = this.open.get(start) ?? this.newWindow(start);
    this.open.set(start, window);
    this.#changed.windows.add(window);
    window.lines += 1;
    const kind = Math.floor(status / 100) - 1;
    window.statuses[kind] = (window.statuses[kind] ?? 0) + 1;
    if (kind === 4) window.errors += 1;
    window.latency.add(ms);
    window.top.add(path);
    this.counts.counted += 1;
  }

  /** Not into its window, and not lost. */
  protected putAside(it: Omit<Aside, 'reason'>, reason: Aside['reason']): void {
    this.#aside.push({ ...it, reason, text: keepable(it.text) });
    this.counts[reason] += 1;
  }

  /** That of a source whose lines have come; it can be changed. */
  protected positionOf(source: string): Position {
    const position = this.positions.get(source) ?? { next: 0, missing: 0, arrivedAt: 0, seen: undefined };
    this.positions.set(source, position);
    this.#changed.positions.add(source);
    return position;
  }

  /** @param newest -Infinity where no line says when it is: such lines move nobody */
  protected observe(source: string, newest: number, arrivedAt: number): void {
    const position = this.positionOf(source);
    position.arrivedAt = arrivedAt;
    if (newest === Number.NEGATIVE_INFINITY) return;
    this.watermark.observe(source, newest, arrivedAt);
    position.seen = { newest: Math.max(newest, position.seen?.newest ?? newest), arrivedAt };
  }

  protected parse(text: string): Line | undefined {
    return parseLine(text);
  }

  protected newWatermark(sources: Iterable<readonly [string, Seen]>, value: number | undefined): Watermark {
    return new Watermark(this.o, sources, value);
  }

  protected newWindow(start: number): Window {
    const [latency, top] = [new Sketch(), new TopK(this.o.topSize)];
    return { start, lines: 0, errors: 0, statuses: [0, 0, 0, 0, 0], latency, top, closed: false };
  }

  protected newAlarm(rule: Rule, state: AlarmState | undefined): Alarm {
    return new Alarm(rule, state);
  }
}
