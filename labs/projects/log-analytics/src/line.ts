/** One line of the access log, read. */
export interface Line {
  /** Milliseconds since the epoch: when it happened, by the clock of whoever wrote it. */
  readonly at: number;
  readonly method: string;
  /** Without its query, at most 200 characters. */
  readonly path: string;
  readonly status: number;
  /** Milliseconds that the answer took. */
  readonly ms: number;
}

/**
 * Time, method, path, status, milliseconds: `2026-11-29T20:00:01.250+08:00 GET /kettles?page=2 200 34.5`. In nginx:
 * `log_format shop '$time_iso8601 $request_method $request_uri $status $ms'`, with a `map` that makes `$ms` of `$request_time`.
 */
const LINE =
  /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(0\d|1[0-4]):([0-5]\d)) ([A-Z]{1,16}) (\/[\x21-\x7e]{0,4000}) ([1-5]\d\d) (\d{1,9}(?:\.\d{1,6})?)$/;

/** @returns undefined where it is no such line */
export function parseLine(text: string): Line | undefined {
  const match = LINE.exec(text);
  if (match === null) return undefined;
  const [, clock = '', fraction = '', sign, hours, minutes, method = '', uri = '', status, ms] = match;
  const utc = Date.parse(`${clock}Z`);
  // A 30th of February is a 2nd of March to Date.parse, and no day to anybody else.
  if (Number.isNaN(utc) || !new Date(utc).toISOString().startsWith(clock)) return undefined;
  const ahead = sign === undefined ? 0 : (Number(hours) * 60 + Number(minutes)) * 60_000 * (sign === '+' ? 1 : -1);
  const at = utc - ahead + Number(fraction.padEnd(3, '0').slice(0, 3));
  if (at < 0) return undefined;
  const [path = ''] = uri.split('?', 1);
  return { at, method, path: path.slice(0, 200), status: Number(status), ms: Number(ms) };
}

/** What can be kept of a text that is no line: no NUL, no half a character, not without end. */
export const keepable = (text: string): string => text.slice(0, 500).replaceAll('\0', '\u{fffd}').toWellFormed();
