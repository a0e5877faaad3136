/** A line as it lies in its file: without its end, and with the bytes that it takes there. */
export interface Line {
  /** Offset of its first byte. */
  readonly start: number;
  /** Offset behind its newline: where the next line begins. */
  readonly end: number;
  readonly text: string;
}

const NEWLINE = 0x0a;
const RETURN = 0x0d;

/**
 * The whole lines of `bytes`, which begin at `offset` of their file. What stands behind the last newline is not one
 * yet: it is read again when more has come. Bytes are cut, never characters, so half a character is never decoded, and
 * an offset stays a number of bytes.
 */
export function splitLines(bytes: Uint8Array, offset: number): Line[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const lines: Line[] = [];
  for (let from = 0; ; ) {
    const at = buffer.indexOf(NEWLINE, from);
    if (at < 0) return lines;
    const to = at > from && buffer[at - 1] === RETURN ? at - 1 : at;
    // A mark of the byte order, which some write at the beginning, is no part of the line.
    const text = buffer.toString('utf8', from, to).replace(/^\uFEFF/, '');
    lines.push({ start: offset + from, end: offset + at + 1, text });
    from = at + 1;
  }
}

/** What belongs to the line above it: a stack frame, a cause, what is indented. */
const CONTINUES = /^(\s+\S|Caused by:|Traceback |\.\.\. \d+ more)/;
const isWhole = (text: string) => text.startsWith('{');

/**
 * Joins the lines of one event: a stack trace is not forty events. A line of JSON is whole by itself. The last event
 * stays out while `more` may follow: nobody can see yet whether the next line belongs to it.
 */
export function joinLines(lines: readonly Line[], more: boolean): Line[] {
  const events: Line[] = [];
  for (const line of lines) {
    const above = events.at(-1);
    if (above && !isWhole(above.text) && above.end === line.start && CONTINUES.test(line.text)) {
      events[events.length - 1] = { start: above.start, end: line.end, text: `${above.text}\n${line.text}` };
    } else events.push(line);
  }
  const last = events.at(-1);
  if (more && last && !isWhole(last.text)) events.pop();
  return events;
}
