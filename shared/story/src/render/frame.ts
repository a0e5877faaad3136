import type { Tone } from '../events.ts';
import { colour, type Paint, plain, type Style } from '../text.ts';

/** What a renderer draws on. */
export interface Frame {
  /** Columns of the whole line; no line exceeds them. */
  readonly width: number;
  /** Columns between the margins. */
  readonly inner: number;
  readonly colour: boolean;
  readonly paint: Paint;
}

export const MIN_WIDTH = 40;
export const MAX_WIDTH = 200;
const MARGIN = 2;

/** A frame of this width; less than 40 or more than 200 columns are brought into that range. */
export function frame(columns: number, coloured: boolean): Frame {
  const width = Math.min(MAX_WIDTH, Math.max(MIN_WIDTH, Math.floor(columns) || 80));
  return { width, inner: width - 2 * MARGIN, colour: coloured, paint: coloured ? colour : plain };
}

export function indent(lines: readonly string[]): string[] {
  return lines.map((line) => (line === '' ? '' : ' '.repeat(MARGIN) + line).trimEnd());
}

const tones: { readonly [T in Tone]: Style } = {
  good: 'green',
  bad: 'red',
  warn: 'yellow',
  muted: 'gray',
  accent: 'cyan',
};

export function toneStyle(tone: Tone | undefined): Style {
  return tones[tone ?? 'accent'];
}
