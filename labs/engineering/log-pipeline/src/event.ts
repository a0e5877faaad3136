import { LEVELS } from './logger.ts';

/** What the index keeps of an event. */
export interface LogDocument {
  /** ISO 8601, UTC: when it happened. */
  readonly '@timestamp': string;
  readonly message: string;
  readonly level?: string;
  readonly service?: string;
  readonly trace_id?: string;
  readonly span_id?: string;
  readonly host: string;
  /** The file, by its lasting name, and the byte where the event begins. */
  readonly source: string;
  readonly offset: number;
  readonly fields?: Readonly<Record<string, unknown>>;
  /** The event was longer than may be shipped, and is cut. */
  readonly cut?: true;
  /** The time that the line claims, where it can't be: `@timestamp` is then when it was read. */
  readonly claimed_time?: string;
}

/** An event on its way. */
export interface LogEvent {
  /** The same however often it is sent. */
  readonly id: string;
  readonly document: LogDocument;
}

const DAY_MS = 86_400_000;
/** Levels of a line's JSON. No index takes more, and a thousand times as many are more than can be written again. */
const DEEPEST = 200;
/** Numbers of pino's, and of those that copied it. */
const NUMBERED: ReadonlyMap<unknown, string> = new Map(LEVELS.map((level, index) => [20 + index * 10, level]));
const KEYWORDS = ['service', 'trace_id', 'span_id'] as const;
const TAKEN = new Set<string>(['time', 'level', 'msg', 'message', 'fields', 'host', 'pid', ...KEYWORDS]);

/**
 * Makes a document of a line: JSON by its fields, anything else as its message.
 *
 * The line's own time counts, so that an event lies on the day it happened, however late it comes. A line can claim any
 * time; one that lies more than `acceptDays` back or a day ahead would make an index of its own, and is not believed.
 */
export function parseEvent(
  text: string,
  at: { readonly host: string; readonly source: string; readonly offset: number; readonly cut: boolean },
  now: number,
  acceptDays: number,
): LogDocument {
  const { host, source, offset, cut } = at;
  const record = objectOf(text);
  const given = record['time'];
  const claimed = typeof given === 'string' || typeof given === 'number' ? new Date(given).getTime() : Number.NaN;
  const believed = claimed > now - acceptDays * DAY_MS && claimed < now + DAY_MS;
  const nested = record['fields'];
  const rest = Object.entries(record).filter(
    ([key, value]) => !TAKEN.has(key) || (key === 'fields' && !isRecord(value)),
  );
  const fields = { ...Object.fromEntries(rest), ...(isRecord(nested) && nested) };
  const words = [record['message'], record['msg'], text].find((each) => typeof each === 'string');
  const level = NUMBERED.get(record['level']) ?? textOf(record['level'])?.toLowerCase();
  return {
    '@timestamp': new Date(believed ? claimed : now).toISOString(),
    message: textOf(words) ?? '',
    ...(level && { level }),
    ...Object.fromEntries(KEYWORDS.flatMap((key) => (textOf(record[key]) ? [[key, textOf(record[key])]] : []))),
    host,
    source,
    offset,
    ...(Object.keys(fields).length > 0 && { fields }),
    ...(cut && { cut }),
    ...(given !== undefined && !believed && { claimed_time: String(given).slice(0, 100).toWellFormed() }),
  };
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const textOf = (value: unknown) => (typeof value === 'string' ? value.toWellFormed() : undefined);

function objectOf(text: string): Record<string, unknown> {
  if (!text.startsWith('{')) return {};
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) && !isDeeper(value, DEEPEST) ? value : {};
  } catch {
    return {};
  }
}

function isDeeper(value: unknown, most: number): boolean {
  let level = [value];
  for (let depth = 0; level.length > 0 && depth <= most; depth++) {
    level = level.flatMap((each): unknown[] => (typeof each === 'object' && each !== null ? Object.values(each) : []));
  }
  return level.length > 0;
}
