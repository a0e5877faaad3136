/**
 * What a story tells, as data. The narrator makes these events, the renderers (terminal, plain text, SVG, a web page)
 * read them. Everything survives JSON: a value that was not measured, or is no finite number, is `null`.
 */
import { StoryError } from './error.ts';

/** What a value means, never which colour it has: each renderer chooses how to show it. */
export type Tone = 'good' | 'bad' | 'warn' | 'muted' | 'accent';

/** Which scene an event belongs to and when it was told. */
interface Told {
  /** Number of the scene, counted from 1; 0 before the first scene and after the last one. */
  readonly scene: number;
  /** Milliseconds since the story began, on a monotonic clock. */
  readonly at: number;
}

/** Always the first event. */
export interface StartEvent extends Told {
  readonly type: 'start';
  /** Version of this event format. */
  readonly version: 1;
  readonly title: string;
  readonly subtitle?: string;
  readonly seed: number;
}

/** A server is up: which one and where it comes from. */
export interface ServerEvent extends Told {
  readonly type: 'server';
  readonly banner: string;
  /** Commands to paste in order to look inside. */
  readonly inspect: readonly string[];
}

export interface SceneEvent extends Told {
  readonly type: 'scene';
  readonly title: string;
}

/** A scene that cannot run here, and why. It has a number of its own. */
export interface SkipEvent extends Told {
  readonly type: 'skip';
  readonly title: string;
  readonly reason: string;
}

/** Prose. An empty line parts paragraphs; `- ` begins an item; `backticks` mark code, `**` marks what is strong. */
export interface SayEvent extends Told {
  readonly type: 'say';
  readonly text: string;
}

/** Lines of source, quoted from the file as it is now. */
export interface CodeEvent extends Told {
  readonly type: 'code';
  /** Path relative to the lab. */
  readonly file: string;
  /** Line number of the first line, counted from 1. */
  readonly from: number;
  readonly lines: readonly string[];
}

export interface Column {
  readonly label: string;
  readonly align: 'left' | 'right';
}

export interface TableEvent extends Told {
  readonly type: 'table';
  readonly caption?: string;
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly (string | number | null)[])[];
}

export interface Bar {
  readonly label: string;
  readonly value: number | null;
  readonly note?: string;
  readonly tone?: Tone;
}

export interface BarsEvent extends Told {
  readonly type: 'bars';
  readonly title: string;
  readonly unit?: string;
  readonly items: readonly Bar[];
  readonly picture?: boolean;
}

export interface Axis {
  readonly label: string;
  /** Printed behind the figures of the axis, as in `ms`. */
  readonly unit?: string;
  /** Default: what the points need. */
  readonly min?: number;
  /** Default: what the points need. */
  readonly max?: number;
  /** Default: linear. On a log axis a value of 0 or less has no place and is left out. */
  readonly scale?: 'linear' | 'log';
}

export interface Series {
  readonly label: string;
  /** [x, y]; a `null` in either breaks the line. Joined in the order given. */
  readonly points: readonly (readonly [number | null, number | null])[];
  readonly tone?: Tone;
}

/** A moment, drawn as an upright line over the whole chart. */
export interface Moment {
  readonly at: number;
  readonly label: string;
  readonly tone?: Tone;
}

export interface LinesEvent extends Told {
  readonly type: 'lines';
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
  readonly moments?: readonly Moment[];
  readonly picture?: boolean;
}

export interface Span {
  readonly from: number;
  readonly to: number;
  readonly label?: string;
  readonly tone?: Tone;
}

export interface Mark {
  readonly at: number;
  readonly label: string;
  readonly tone?: Tone;
}

export interface Lane {
  readonly label: string;
  readonly spans?: readonly Span[];
  readonly marks?: readonly Mark[];
}

export interface TimelineEvent extends Told {
  readonly type: 'timeline';
  readonly title: string;
  /** Unit of every moment on the axis, as in `ms`. */
  readonly unit?: string;
  readonly lanes: readonly Lane[];
  /** Stretches that concern every lane: "both hold the lock". */
  readonly bands?: readonly Span[];
  readonly picture?: boolean;
}

export interface ProgressEvent extends Told {
  readonly type: 'progress';
  readonly label: string;
  readonly done: number;
  readonly total: number;
  /** The last event of this progress. */
  readonly finished: boolean;
}

/** A claim, what was measured, and whether the measurement bears it out. */
export interface VerdictEvent extends Told {
  readonly type: 'verdict';
  readonly claim: string;
  readonly measured: string;
  readonly holds: boolean;
}

export interface ErrorEvent extends Told {
  readonly type: 'error';
  readonly name: string;
  readonly message: string;
  /** Stack frames inside the project; empty for an error that explains itself (a missing server). */
  readonly frames: readonly string[];
}

/** Always the last event, whatever happened. */
export interface EndEvent extends Told {
  readonly type: 'end';
  readonly seed: number;
  readonly held: number;
  readonly verdicts: number;
  readonly skipped: number;
  readonly exitCode: number;
  /** Why the story ended: all told, an error, or a signal. */
  readonly outcome: 'told' | 'failed' | 'interrupted';
  /** What to do next, a line each. */
  readonly next: readonly string[];
}

export type StoryEvent =
  | StartEvent
  | ServerEvent
  | SceneEvent
  | SkipEvent
  | SayEvent
  | CodeEvent
  | TableEvent
  | BarsEvent
  | LinesEvent
  | TimelineEvent
  | ProgressEvent
  | VerdictEvent
  | ErrorEvent
  | EndEvent;

/** An event that a picture can be made of. */
export type ChartEvent = BarsEvent | LinesEvent | TimelineEvent;

type Guard<T> = (value: unknown) => value is T;

const text: Guard<string> = (v) => typeof v === 'string';
const number: Guard<number> = (v): v is number => typeof v === 'number' && Number.isFinite(v);
const flag: Guard<boolean> = (v) => typeof v === 'boolean';
const nothing: Guard<null> = (v) => v === null;
const isRecord: Guard<Record<string, unknown>> = (v): v is Record<string, unknown> =>
  typeof v === 'object' && v !== null && !Array.isArray(v);

function oneOf<const T extends string | number>(...allowed: readonly T[]): Guard<T> {
  return (v): v is T => allowed.some((a) => a === v);
}
function either<A, B>(a: Guard<A>, b: Guard<B>): Guard<A | B> {
  return (v): v is A | B => a(v) || b(v);
}
/** For the key of a `shape` that may be absent: hence a guard of T, not of T | undefined. */
function optional<T>(guard: Guard<T>): Guard<T> {
  return (v): v is T => v === undefined || guard(v);
}
function list<T>(guard: Guard<T>): Guard<readonly T[]> {
  return (v): v is readonly T[] => Array.isArray(v) && v.every(guard);
}
function pair<T>(guard: Guard<T>): Guard<readonly [T, T]> {
  return (v): v is readonly [T, T] => Array.isArray(v) && v.length === 2 && v.every(guard);
}
/** Naming every key of T makes the compiler object when the type grows and its guard does not. */
function shape<T extends object>(keys: { [K in keyof T]-?: Guard<T[K]> }): Guard<T> {
  const guards = Object.entries<Guard<unknown>>(keys);
  return (v): v is T => isRecord(v) && guards.every(([key, guard]) => guard(v[key]));
}

const told = { scene: number, at: number };
const tone = optional(oneOf('good', 'bad', 'warn', 'muted', 'accent'));
const numberOrNull = either(number, nothing);
const axis = shape<Axis>({
  label: text,
  unit: optional(text),
  min: optional(number),
  max: optional(number),
  scale: optional(oneOf('linear', 'log')),
});
const span = shape<Span>({ from: number, to: number, label: optional(text), tone });
const mark = shape<Mark>({ at: number, label: text, tone });

const guards: { [T in StoryEvent['type']]: Guard<Extract<StoryEvent, { type: T }>> } = {
  start: shape<StartEvent>({
    ...told,
    type: oneOf('start'),
    version: oneOf(1),
    title: text,
    subtitle: optional(text),
    seed: number,
  }),
  server: shape<ServerEvent>({ ...told, type: oneOf('server'), banner: text, inspect: list(text) }),
  scene: shape<SceneEvent>({ ...told, type: oneOf('scene'), title: text }),
  skip: shape<SkipEvent>({ ...told, type: oneOf('skip'), title: text, reason: text }),
  say: shape<SayEvent>({ ...told, type: oneOf('say'), text }),
  code: shape<CodeEvent>({ ...told, type: oneOf('code'), file: text, from: number, lines: list(text) }),
  table: shape<TableEvent>({
    ...told,
    type: oneOf('table'),
    caption: optional(text),
    columns: list(shape<Column>({ label: text, align: oneOf('left', 'right') })),
    rows: list(list(either(text, numberOrNull))),
  }),
  bars: shape<BarsEvent>({
    ...told,
    type: oneOf('bars'),
    title: text,
    unit: optional(text),
    items: list(shape<Bar>({ label: text, value: numberOrNull, note: optional(text), tone })),
    picture: optional(flag),
  }),
  lines: shape<LinesEvent>({
    ...told,
    type: oneOf('lines'),
    title: text,
    x: axis,
    y: axis,
    series: list(shape<Series>({ label: text, points: list(pair(numberOrNull)), tone })),
    moments: optional(list(mark)),
    picture: optional(flag),
  }),
  timeline: shape<TimelineEvent>({
    ...told,
    type: oneOf('timeline'),
    title: text,
    unit: optional(text),
    lanes: list(shape<Lane>({ label: text, spans: optional(list(span)), marks: optional(list(mark)) })),
    bands: optional(list(span)),
    picture: optional(flag),
  }),
  progress: shape<ProgressEvent>({
    ...told,
    type: oneOf('progress'),
    label: text,
    done: number,
    total: number,
    finished: flag,
  }),
  verdict: shape<VerdictEvent>({ ...told, type: oneOf('verdict'), claim: text, measured: text, holds: flag }),
  error: shape<ErrorEvent>({ ...told, type: oneOf('error'), name: text, message: text, frames: list(text) }),
  end: shape<EndEvent>({
    ...told,
    type: oneOf('end'),
    seed: number,
    held: number,
    verdicts: number,
    skipped: number,
    exitCode: number,
    outcome: oneOf('told', 'failed', 'interrupted'),
    next: list(text),
  }),
};

/** Whether a value, of unknown origin, is an event of this version. */
export function isStoryEvent(value: unknown): value is StoryEvent {
  if (!isRecord(value) || typeof value['type'] !== 'string') return false;
  const guard = Object.entries<Guard<unknown>>(guards).find(([type]) => type === value['type'])?.[1];
  return guard?.(value) ?? false;
}

/**
 * Reads one line of `--json` output.
 * @throws StoryError when the line is no event.
 */
export function parseEvent(line: string): StoryEvent {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new StoryError(`not a story event (no JSON): ${excerpt(line)}. With --json stdout must hold events alone.`);
  }
  if (!isStoryEvent(value)) throw new StoryError(`not a story event of version 1: ${excerpt(line)}`);
  return value;
}

function excerpt(line: string): string {
  return JSON.stringify(line.length > 120 ? `${line.slice(0, 120)}…` : line);
}

export function isChart(event: StoryEvent): event is ChartEvent {
  return event.type === 'bars' || event.type === 'lines' || event.type === 'timeline';
}
