/** Text in columns: what a terminal shows, where a CJK character takes two columns and a combining mark none. */
import { stripVTControlCharacters, styleText } from 'node:util';
import stringWidth from 'fast-string-width';
import { wrapAnsi } from 'fast-wrap-ansi';

export type Style = Parameters<typeof styleText>[0];

/** Puts a style on a text, or does not, for plain output. */
export type Paint = (style: Style, text: string) => string;

export const plain: Paint = (_style, text) => text;
export const colour: Paint = (style, text) => (text === '' ? '' : styleText(style, text, { validateStream: false }));

/** Columns that a text takes, escape codes not counted. */
export function width(text: string): number {
  return stringWidth(text);
}

const segmenter = new Intl.Segmenter();
export function graphemes(text: string): string[] {
  return Array.from(segmenter.segment(text), (s) => s.segment);
}

/** Nothing that moves a cursor, changes a colour or spans lines gets from a label onto the screen. */
export function clean(text: string): string {
  return cleanLines(text).replace(/\s*\n\s*/g, ' ');
}

/** As `clean`, keeping line breaks. */
export function cleanLines(text: string): string {
  return (
    stripVTControlCharacters(text.toWellFormed())
      .replace(/\r\n?|[\u2028\u2029\v\f]/g, '\n')
      .replaceAll('\t', '  ')
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a terminal
      .replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '')
  );
}

/** Wraps at words; a word longer than the width is broken. At least one line. */
export function wrap(text: string, columns: number): string[] {
  const lines = wrapAnsi(text, Math.max(columns, 2), { hard: true, trim: true }).split('\n');
  return lines.length === 0 ? [''] : lines;
}

/** Breaks at the column, words or not: for code, where every space counts. */
export function chop(text: string, columns: number): string[] {
  return wrapAnsi(text, Math.max(columns, 2), { hard: true, wordWrap: false, trim: false }).split('\n');
}

/** Cuts to a width, marking the cut with an ellipsis. For text without escape codes. */
export function truncate(text: string, columns: number): string {
  if (width(text) <= columns) return text;
  let kept = '';
  let used = 0;
  for (const g of graphemes(text)) {
    const w = width(g);
    if (used + w > columns - 1) break;
    kept += g;
    used += w;
  }
  return columns < 1 ? '' : `${kept.trimEnd()}…`;
}

export function padEnd(text: string, columns: number): string {
  return text + ' '.repeat(Math.max(0, columns - width(text)));
}

export function padStart(text: string, columns: number): string {
  return ' '.repeat(Math.max(0, columns - width(text))) + text;
}

/** Takes off the indentation that all lines share, and empty lines around. */
export function dedent(text: string): string {
  const lines = text.split('\n');
  while (lines.length > 0 && lines[0]?.trim() === '') lines.shift();
  while (lines.length > 0 && lines.at(-1)?.trim() === '') lines.pop();
  const indents = lines.filter((l) => l.trim() !== '').map((l) => l.length - l.trimStart().length);
  const shared = indents.length === 0 ? 0 : Math.min(...indents);
  return lines.map((l) => l.slice(Math.min(shared, l.length - l.trimStart().length))).join('\n');
}

/** A figure for people: thousands grouped, three significant digits after the point at most, `–` for not measured. */
export function figure(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size >= 1e15 || (size > 0 && size < 1e-4)) return value.toExponential(2).replace(/\.?0+e/, 'e');
  const digits = Number.isInteger(value) || size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 4;
  const [whole = '0', part = ''] = value.toFixed(digits).split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  const decimals = part.replace(/0+$/, '');
  const result = decimals === '' ? grouped : `${grouped}.${decimals}`;
  return result === '-0' ? '0' : result;
}

/** A figure with its unit: `1,200 ms`, `40%`, `3×`. */
export function quantity(value: number | null, unit?: string): string {
  if (unit === undefined || unit === '' || value === null) return figure(value);
  return `${figure(value)}${/^[%×]/.test(unit) ? '' : ' '}${unit}`;
}
