import type { BarsEvent } from '../events.ts';
import { type Scale, scaleFor } from '../scale.ts';
import { clean, padEnd, padStart, quantity, width, wrap } from '../text.ts';
import { type Frame, toneStyle } from './frame.ts';

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
const LONGEST = 72;
const SHORTEST = 12;

export function renderBars(event: BarsEvent, f: Frame): string[] {
  const items = event.items.map((item) => ({
    ...item,
    label: clean(item.label),
    note: clean(item.note ?? ''),
    figure: quantity(item.value, clean(event.unit ?? '')),
  }));
  const scale = barScale(event);
  const title = wrap(clean(event.title), f.inner).map((line) => f.paint('bold', line));
  const labels = Math.min(widest(items.map((i) => i.label)), Math.floor(f.inner * 0.35));
  // A unit may be a sentence: then the figure stands on the line below the bar, as a note does.
  const figures = widest(items.map((i) => i.figure));
  const notes = widest(items.map((i) => i.note));
  const left = f.inner - labels - 2;
  const beside = left - figures - 1 - (notes === 0 ? 0 : notes + 2) >= SHORTEST;
  const inline = left - figures - 1 >= SHORTEST;
  const room = beside ? left - figures - 1 - (notes === 0 ? 0 : notes + 2) : inline ? left - figures - 1 : left;
  const bar = Math.min(room, LONGEST);
  const diverging = scale.min < 0;

  const lines = items.flatMap((item) => {
    const names = wrap(item.label, Math.max(2, labels));
    const { cells, text } = drawBar(item.value, scale, bar);
    const drawn = f.paint(toneStyle(item.tone), text);
    const value = f.paint('bold', item.figure);
    const gap = cells === 0 ? '' : ' ';
    const after = beside && item.note !== '' ? `  ${f.paint('dim', item.note)}` : '';
    const first = !inline
      ? drawn
      : diverging
        ? `${padEnd(drawn, bar)} ${padStart(value, figures)}${after}`
        : `${drawn}${gap}${value}${after}`;
    const below = [
      ...(inline ? [] : wrap(item.figure, left).map((l) => f.paint('bold', l))),
      ...(beside || item.note === '' ? [] : wrap(item.note, left).map((l) => f.paint('dim', l))),
    ];
    const right = [first, ...below];
    return Array.from({ length: Math.max(names.length, right.length) }, (_, i) =>
      `${padEnd(names[i] ?? '', labels)}  ${right[i] ?? ''}`.trimEnd(),
    );
  });
  return [...title, ...lines];
}

/** Bars always begin at zero: a bar's length is its value. */
export function barScale(event: BarsEvent): Scale {
  const values = event.items.map((i) => i.value).filter((v) => v !== null);
  return scaleFor([0, ...values]);
}

/** The bar as text, and how many cells of the room it needs from the left. */
function drawBar(value: number | null, scale: Scale, room: number): { cells: number; text: string } {
  const end = value === null ? undefined : scale.at(value);
  const zero = scale.at(0);
  if (end === undefined || zero === undefined || value === 0) return { cells: 0, text: '' };
  if (scale.min >= 0) {
    const eighths = Math.max(1, Math.round(end * room * 8));
    const text = '█'.repeat(Math.floor(eighths / 8)) + (EIGHTHS[eighths % 8] ?? '');
    return { cells: Math.ceil(eighths / 8), text };
  }
  const from = Math.min(room - 1, Math.round(Math.min(end, zero) * room));
  const to = Math.max(from + 1, Math.round(Math.max(end, zero) * room));
  return { cells: to, text: ' '.repeat(from) + '█'.repeat(to - from) };
}

function widest(texts: readonly string[]): number {
  return Math.max(0, ...texts.map(width));
}
