import type { Lane, Mark, Span, TimelineEvent, Tone } from '../events.ts';
import { rowsOf, timeScale } from '../geometry.ts';
import { Legend, placeLabels, placeMarks } from '../layout.ts';
import { clean, figure, padEnd, type Style, truncate, width, wrap } from '../text.ts';
import { Canvas } from './canvas.ts';
import { type Frame, toneStyle } from './frame.ts';
import { drawAxis } from './lines.ts';

/** Without colour, the tone of a span is its shade. */
const SHADES: { readonly [T in Tone]: string } = { good: '█', accent: '█', bad: '▓', warn: '▒', muted: '░' };
const BLOCKS: { readonly [T in Tone]: Style } = {
  good: ['bgGreen', 'black'],
  bad: ['bgRed', 'black'],
  warn: ['bgYellow', 'black'],
  muted: ['bgGray', 'white'],
  accent: ['bgCyan', 'black'],
};

export function renderTimeline(event: TimelineEvent, f: Frame): string[] {
  const scale = timeScale(event);
  const unit = clean(event.unit ?? '');
  const names = event.lanes.map((l) => clean(l.label));
  const gutter = Math.max(width(unit), Math.min(Math.max(0, ...names.map(width)), Math.floor(f.inner * 0.28)));
  const nameColumns = Math.min(gutter, Math.floor(f.inner * 0.28));
  const left = nameColumns + 2;
  const canvas = new Canvas(f.inner);
  const column = (t: number) => {
    const at = scale.at(t) ?? 0;
    return left + Math.round(Math.min(1, Math.max(0, at)) * (f.inner - left - 1));
  };
  const legend = new Legend<Style>();
  const time = (t: number) => figure(t) + (unit === '' ? '' : ` ${unit}`);

  let row = 0;
  event.lanes.forEach((lane, i) => {
    if (i > 0) row++;
    row = drawLane({ canvas, lane, name: names[i] ?? '', row, left, nameColumns, column, legend, time, f });
  });
  for (let r = 0; r < row; r++) canvas.write(r, nameColumns + 1, '│', 'dim');
  for (const band of event.bands ?? []) row = drawBand({ canvas, band, row, left, column, legend, time });
  for (let r = 0; r < row; r++) canvas.write(r, nameColumns + 1, '│', 'dim');
  drawAxis(canvas, scale.ticks(Math.max(2, Math.floor((f.inner - left) / 11))), {
    row,
    gutter: nameColumns,
    place: (t) => column(t),
  });
  canvas.write(row + 1, 0, truncate(unit, nameColumns), 'dim');

  return [
    ...wrap(clean(event.title), f.inner).map((line) => f.paint('bold', line)),
    ...canvas.toLines(f.paint),
    ...legend
      .lines()
      .flatMap(({ key, label, times, style }) =>
        wrap(`${label} ${f.paint('dim', `· ${times}`)}`, f.inner - left - 3).map(
          (line, i) => `${' '.repeat(left)}${i === 0 ? f.paint(style, key) : ' '}  ${line}`,
        ),
      ),
  ];
}

interface Drawing {
  readonly canvas: Canvas;
  readonly row: number;
  readonly left: number;
  readonly column: (t: number) => number;
  readonly legend: Legend<Style>;
  readonly time: (t: number) => string;
}

function drawLane(d: Drawing & { lane: Lane; name: string; nameColumns: number; f: Frame }): number {
  const marks = [...(d.lane.marks ?? [])].sort((a, b) => a.at - b.at);
  const spanRows = rowsOf(d.lane.spans ?? []);
  const markRows = drawMarks(d, marks);
  const nameLines = wrap(d.name, Math.max(2, d.nameColumns));
  const first = d.row + markRows;
  // The name stands beside the spans; with marks alone, beside these.
  const nameAt = spanRows.length === 0 ? d.row : first;
  nameLines.forEach((line, i) => {
    d.canvas.write(nameAt + i, 0, padEnd(line, d.nameColumns));
  });
  spanRows.forEach((spans, i) => {
    drawSpans(d, spans, first + i);
  });
  return Math.max(nameAt + nameLines.length, first + spanRows.length);
}

/** Draws the marks in up to three rows, growing upwards, and says how many it took. */
function drawMarks(d: Drawing, marks: readonly Mark[]): number {
  const signs = marks.map((mark) => {
    const label = clean(mark.label);
    return { mark, text: label, at: d.column(mark.at), label: width(label) };
  });
  const places = placeMarks(signs, { left: d.left, right: d.canvas.columns, gap: 1, glyph: 1, rows: 3 });
  const rows = Math.max(0, ...places.map((p) => p.row + 1));
  signs.forEach(({ mark, text, at, label }, i) => {
    const { row, side } = places[i] ?? { row: 0, side: 'key' };
    const y = d.row + rows - 1 - row;
    const style = toneStyle(mark.tone);
    if (side === 'right') d.canvas.write(y, at, `▼ ${text}`, style);
    else if (side === 'left') d.canvas.write(y, at - 1 - label, `${text} ▼`, style);
    else d.canvas.write(y, at, d.legend.add(text, style, d.time(mark.at)), style);
  });
  return rows;
}

function drawSpans(d: Drawing & { f: Frame }, spans: readonly Span[], row: number): void {
  let taken = d.left;
  const blocks = spans.map((span) => {
    const from = Math.min(Math.max(d.column(span.from), taken), d.canvas.columns - 1);
    // The cell in which a span ends belongs to the next one, which begins there.
    const to = Math.max(from + 1, d.column(span.to));
    taken = to;
    const text = clean(span.label ?? '');
    return { span, from, to, text, label: width(text) };
  });
  const places = placeLabels(blocks, { left: d.left, right: d.canvas.columns, gap: 1, inset: 2 });
  blocks.forEach(({ span, from, to, text, label }, i) => {
    const tone = span.tone ?? 'accent';
    const style = d.f.colour ? BLOCKS[tone] : undefined;
    const place = places[i];
    d.canvas.write(row, from, (d.f.colour ? ' ' : SHADES[tone]).repeat(to - from), style);
    if (place === 'inside') {
      const airy = to - from >= label + 4;
      d.canvas.write(row, from + 1, airy ? ` ${text} ` : text, style);
    } else if (place === 'right') d.canvas.write(row, to + 1, text, toneStyle(tone));
    else if (place === 'left') d.canvas.write(row, from - 1 - label, text, toneStyle(tone));
    else if (place === 'key') {
      const time = `${d.time(span.from)} – ${d.time(span.to)}`;
      d.canvas.write(row, from, d.legend.add(text, toneStyle(tone), time), style);
    }
  });
}

/** A bracket below the lanes, with faint lines up through them where it begins and ends. */
function drawBand(d: Drawing & { band: Span }): number {
  const [from, to] = [d.column(Math.min(d.band.from, d.band.to)), d.column(Math.max(d.band.from, d.band.to))];
  const style = toneStyle(d.band.tone ?? 'bad');
  for (let r = 0; r < d.row; r++) {
    for (const c of [from, to]) if (d.canvas.free(r, c, c)) d.canvas.write(r, c, '┊', style);
  }
  d.canvas.write(d.row, from, from === to ? '┴' : `└${'─'.repeat(to - from - 1)}┘`, style);
  const label = clean(d.band.label ?? '');
  const w = width(label);
  if (label === '') return d.row + 1;
  if (to - from - 3 >= w) d.canvas.write(d.row, from + Math.floor((to - from + 1 - w - 2) / 2), ` ${label} `, style);
  else if (to + 2 + w <= d.canvas.columns) d.canvas.write(d.row, to + 2, label, style);
  else if (from - 1 - w >= d.left) d.canvas.write(d.row, from - 1 - w, label, style);
  else d.canvas.write(d.row, from, d.legend.add(label, style, `${d.time(d.band.from)} – ${d.time(d.band.to)}`), style);
  return d.row + 1;
}
