/** Turns what a demo says into events. Knows nothing about screens, flags or signals. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { describe } from './describe.ts';
import { StoryError, StoryStopped } from './error.ts';
import type { Axis, ChartEvent, Lane, Mark, Moment, Series, Span, StoryEvent, Tone } from './events.ts';
import type { ChartInput, LinesInput, Servable, Story, TableInput, TimelineInput } from './story.ts';

/** An event without what the narrator adds to all of them. */
type Untold<E> = E extends StoryEvent ? Omit<E, 'scene' | 'at'> : never;

export interface NarratorOptions {
  readonly dir: string;
  readonly seed: number;
  readonly signal: AbortSignal;
  readonly emit: (event: StoryEvent) => void;
  /** Resolves when all that was told is shown: between scenes the story does not run ahead of its audience. */
  readonly shown: () => Promise<void>;
}

interface Slot {
  readonly started: Promise<Servable>;
  server?: Servable;
}

/** Between two events of one progress, at least. */
const PROGRESS_MS = 80;
/** A server that takes longer to start or stop while the story ends is left to its reaper. */
const CLEANUP_MS = 10_000;

export class Narrator implements Story {
  readonly seed: number;
  readonly signal: AbortSignal;
  readonly random: () => number;
  held = 0;
  verdicts = 0;
  skipped = 0;
  picture: ChartEvent | undefined;
  readonly nextSteps: string[] = [];
  readonly #options: NarratorOptions;
  readonly #began = performance.now();
  readonly #slots: Slot[] = [];
  readonly #shownErrors = new WeakSet<object>();
  #scenes = 0;
  #scene = 0;
  #sceneTitle = '';

  constructor(options: NarratorOptions) {
    this.#options = options;
    this.seed = options.seed;
    this.signal = options.signal;
    const generator = xoroshiro128plus(options.seed);
    this.random = () => uniformFloat64(generator);
  }

  /** Emits an event whether or not the story has been stopped. */
  emit(event: Untold<StoryEvent>, scene = this.#scene): void {
    const at = Math.round((performance.now() - this.#began) * 10) / 10;
    this.#options.emit({ ...event, scene, at });
  }

  async use<S extends Servable>(server: Promise<S> | S): Promise<S> {
    const started = Promise.resolve(server);
    const slot: Slot = { started };
    this.#slots.push(slot);
    // Whoever awaits use() gets the error; a story stopped meanwhile must not fail by it again.
    started.catch(() => {});
    const up = await started;
    slot.server = up;
    this.#tell({ type: 'server', banner: up.banner, inspect: [...up.inspect] });
    return up;
  }

  async scene(title: string, body: () => Promise<void>): Promise<void> {
    if (this.#scene !== 0) {
      throw new StoryError(`scene "${title}" begins inside scene "${this.#sceneTitle}": await that one first`);
    }
    await this.#options.shown();
    this.#scene = ++this.#scenes;
    this.#sceneTitle = title;
    try {
      this.#tell({ type: 'scene', title });
      await body();
      await this.#options.shown();
    } catch (error) {
      if (!this.signal.aborted) this.fail(error);
      throw error;
    } finally {
      this.#scene = 0;
    }
  }

  skip(title: string, reason: string): void {
    this.#running();
    this.skipped++;
    this.emit({ type: 'skip', title, reason }, ++this.#scenes);
  }

  say(text: string): void {
    this.#tell({ type: 'say', text });
  }

  code(file: string, range: { from: string; to?: string }): void {
    let source: string;
    try {
      source = readFileSync(resolve(this.#options.dir, file), 'utf8');
    } catch (cause) {
      throw new StoryError(`code("${file}") cannot be read in ${this.#options.dir}: ${describe(cause).message}`, {
        cause,
      });
    }
    const lines = source.split(/\r?\n/);
    const first = lines.findIndex((line) => line.includes(range.from));
    if (first < 0) throw new StoryError(`code("${file}"): no line contains ${quote(range.from)} (from)`);
    const last =
      range.to === undefined ? first : lines.findIndex((line, i) => i > first && line.includes(range.to ?? ''));
    if (last < 0) {
      throw new StoryError(`code("${file}"): no line after line ${first + 1} contains ${quote(range.to ?? '')} (to)`);
    }
    this.#tell({ type: 'code', file, from: first + 1, lines: lines.slice(first, last + 1) });
  }

  table(table: TableInput): void {
    const columns = table.columns.map((column, i) => {
      const label = typeof column === 'string' ? column : column.label;
      const asked = typeof column === 'string' ? undefined : column.align;
      const cells = table.rows.map((row) => row[i]);
      const figures = cells.length > 0 && cells.every((cell) => typeof cell === 'number');
      return { label, align: asked ?? (figures ? 'right' : 'left') } as const;
    });
    table.rows.forEach((row, i) => {
      if (row.length === columns.length) return;
      throw new StoryError(
        `table "${table.caption ?? ''}": row ${i + 1} has ${row.length} cells for ${columns.length} columns`,
      );
    });
    const rows = table.rows.map((row) => row.map((cell) => (typeof cell === 'number' ? finite(cell) : cell)));
    this.#tell({ type: 'table', ...given('caption', table.caption), columns, rows });
  }

  bars(chart: ChartInput): void {
    this.#chart({
      type: 'bars',
      title: chart.title,
      ...given('unit', chart.unit),
      items: chart.items.map((item) => ({
        label: item.label,
        value: finite(item.value),
        ...given('note', item.note),
        ...given('tone', item.tone),
      })),
      ...given('picture', chart.picture),
    });
  }

  lines(chart: LinesInput): void {
    this.#chart({
      type: 'lines',
      title: chart.title,
      x: axis(chart.x),
      y: axis(chart.y),
      series: chart.series.map((s) => ({
        label: s.label,
        points: s.points.map(([x, y]): Series['points'][number] => [finite(x), finite(y)]),
        ...given('tone', s.tone),
      })),
      ...given(
        'moments',
        chart.moments?.map((m) => mark(m, chart.title)),
      ),
      ...given('picture', chart.picture),
    });
  }

  timeline(chart: TimelineInput): void {
    this.#chart({
      type: 'timeline',
      title: chart.title,
      ...given('unit', chart.unit),
      lanes: chart.lanes.map(
        (lane): Lane => ({
          label: lane.label,
          ...given(
            'spans',
            lane.spans?.map((s) => span(s, lane.label)),
          ),
          ...given(
            'marks',
            lane.marks?.map((m) => mark(m, lane.label)),
          ),
        }),
      ),
      ...given(
        'bands',
        chart.bands?.map((b) => span(b, 'bands')),
      ),
      ...given('picture', chart.picture),
    });
  }

  progress(label: string, total: number): { tick(n?: number): void; done(): void } {
    this.#running();
    let done = 0;
    let finished = false;
    let last = -Infinity;
    const emit = () => this.emit({ type: 'progress', label, done, total: finite(total) ?? 0, finished });
    emit();
    last = performance.now();
    return {
      tick: (n = 1) => {
        done += n;
        if (finished || performance.now() - last < PROGRESS_MS) return;
        last = performance.now();
        this.#running();
        emit();
      },
      done: () => {
        if (finished) return;
        finished = true;
        emit();
      },
    };
  }

  verdict(claim: string, measured: string, holds: boolean): void {
    this.#running();
    this.verdicts++;
    if (holds) this.held++;
    this.emit({ type: 'verdict', claim, measured, holds });
  }

  next(lines: readonly string[]): void {
    this.nextSteps.push(...lines);
  }

  /** Shows an error, once. */
  fail(error: unknown): void {
    if (typeof error === 'object' && error !== null) {
      if (this.#shownErrors.has(error)) return;
      this.#shownErrors.add(error);
    }
    this.emit({ type: 'error', ...describe(error) });
  }

  /** The scene that is being told, if any. */
  get openScene(): string | undefined {
    return this.#scene === 0 ? undefined : this.#sceneTitle;
  }

  get servers(): Servable[] {
    return this.#slots.map((slot) => slot.server).filter((server) => server !== undefined);
  }

  /** Stops the servers, the last started first, those included that are still starting. Returns what went wrong. */
  async dispose(): Promise<Error[]> {
    const errors: Error[] = [];
    for (const slot of this.#slots.splice(0).reverse()) {
      const server = await within(slot.started, CLEANUP_MS).catch(() => undefined);
      if (server === undefined) continue;
      try {
        const stopped = await within(
          Promise.resolve(server[Symbol.asyncDispose]()).then(() => true),
          CLEANUP_MS,
        );
        if (stopped === undefined)
          errors.push(new StoryError(`${server.banner}: did not stop within ${CLEANUP_MS / 1000} s`));
      } catch (cause) {
        errors.push(new StoryError(`${server.banner}: failed to stop: ${describe(cause).message}`, { cause }));
      }
    }
    return errors;
  }

  #chart(event: Untold<ChartEvent>): void {
    if (event.picture === true && this.picture !== undefined) {
      throw new StoryError(
        `"${event.title}" and "${this.picture.title}" are both marked picture: true; a lab has one picture, mark one`,
      );
    }
    this.#running();
    const told: ChartEvent = {
      ...event,
      scene: this.#scene,
      at: Math.round((performance.now() - this.#began) * 10) / 10,
    };
    if (event.picture === true) this.picture = told;
    this.#options.emit(told);
  }

  #tell(event: Untold<StoryEvent>): void {
    this.#running();
    this.emit(event);
  }

  /** Once the story is stopped, its next word unwinds the body. */
  #running(): void {
    if (this.signal.aborted) throw new StoryStopped();
  }
}

/** Resolves to undefined when the time is up. */
export async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((done) => {
    timer = setTimeout(done, ms, undefined);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** JSON knows no NaN, no Infinity and no -0. */
function finite(value: number): number | null {
  return Number.isFinite(value) ? value + 0 : null;
}

/** A key of its own only when there is a value: an absent key and an undefined one differ in JSON. */
function given<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  const entry: { [P in K]?: V } = {};
  if (value !== undefined) entry[key] = value;
  return entry;
}

function axis(a: Axis): Axis {
  return {
    label: a.label,
    ...given('unit', a.unit),
    ...given('min', a.min === undefined ? undefined : (finite(a.min) ?? undefined)),
    ...given('max', a.max === undefined ? undefined : (finite(a.max) ?? undefined)),
    ...given('scale', a.scale),
  };
}

function span(s: { from: number; to: number; label?: string; tone?: Tone }, where: string): Span {
  return { from: moment(s.from, where), to: moment(s.to, where), ...given('label', s.label), ...given('tone', s.tone) };
}

function mark(m: Mark | Moment, where: string): Mark {
  return { at: moment(m.at, where), label: m.label, ...given('tone', m.tone) };
}

/** A moment that is no number has no place on the axis, and to leave it out would be to tell another story. */
function moment(value: number, where: string): number {
  const at = finite(value);
  if (at === null) throw new StoryError(`${where}: ${value} is no moment on a time axis; pass a finite number`);
  return at;
}

function quote(text: string): string {
  return JSON.stringify(text);
}
