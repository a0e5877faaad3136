import type { Lane, Mark, Span, TimelineEvent, Tone } from '../events.ts';
import { rowsOf, timeScale } from '../geometry.ts';
import { clean, figure, padEnd, type Style, truncate, width, wrap } from '../text.ts';
import { Canvas } from './canvas.ts';
import { type Frame, toneStyle } from './frame.ts';
import { drawAxis } from './lines.ts';

const KEYS = 'abcdefghijklmnopqrstuvwxyz';
/** Without colour, the tone of a span is its shade. */
const SHADES: { readonly [T in Tone]: string } = { good: '█', accent: '█', bad: '▓', warn: '▒', muted: '░' };
const BLOCKS: { readonly [T in Tone]: Style } = {
  good: ['bgGreen', 'black'],
  bad: ['bgRed', 'black'],
  warn: ['bgYellow', 'black'],
  muted: ['bgGray', 'white'],
  accent: ['bgCyan', 'black'],
};

/** Labels without room on the drawing get a letter there and a line below it; equal labels share one. */
class Legend {
  readonly #entries = new Map<string, { key: string; style: Style; times: string[] }>();

  add(label: string, style: Style, time: string): string {
    const entry = this.#entries.get(label) ?? { key: KEYS[this.#entries.size] ?? '*', style, times: [] };
    entry.times.push(time);
    this.#entries.set(label, entry);
    return entry.key;
  }

  toLines(f: Frame, indentation: number): string[] {
    return [...this.#entries].flatMap(([label, { key, style, times }]) => {
      const shown =
        times.length > 4 ? `${times.slice(0, 3).join(', ')} … ${times.at(-1)} (${times.length}×)` : times.join(', ');
      return wrap(`${label} ${f.paint('dim', shown)}`, f.inner - indentation - 3).map(
        (line, i) => `${' '.repeat(indentation)}${i === 0 ? f.paint(style, key) : ' '}  ${line}`,
      );
    });
  }
}

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
  const legend = new Legend();
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
    ...legend.toLines(f, left),
  ];
}

interface Drawing {
  readonly canvas: Canvas;
  readonly row: number;
  readonly left: number;
  readonly column: (t: number) => number;
  readonly legend: Legend;
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

/** Draws the marks in up to three rows and says how many it took. */
function drawMarks(d: Drawing, marks: readonly Mark[]): number {
  const rows: { at: number; from: number; to: number; label: string; style: Style }[][] = [];
  const right = d.canvas.columns;
  for (const mark of marks) {
    const at = d.column(mark.at);
    const label = clean(mark.label);
    const style = toneStyle(mark.tone);
    const w = width(label);
    const places = [
      ...(at + 2 + w <= right ? [{ at, from: at, to: at + 1 + w, label: `▼ ${label}` }] : []),
      ...(at - 1 - w >= d.left ? [{ at, from: at - 1 - w, to: at, label: `${label} ▼` }] : []),
    ];
    const key = (): { at: number; from: number; to: number; label: string } => ({
      at,
      from: at,
      to: at,
      label: d.legend.add(label, style, d.time(mark.at)),
    });
    const free = (r: number, from: number, to: number) =>
      !(rows[r] ?? []).some((m) => m.from <= to + 1 && m.to >= from - 1);
    const spot = [0, 1, 2].flatMap((r) => places.map((p) => ({ r, p }))).find(({ r, p }) => free(r, p.from, p.to));
    if (spot !== undefined) {
      rows[spot.r] ??= [];
      rows[spot.r]?.push({ ...spot.p, style });
      continue;
    }
    const r = [0, 1, 2].find((k) => !(rows[k] ?? []).some((m) => m.from <= at && m.to >= at)) ?? 2;
    rows[r] ??= [];
    rows[r]?.push({ ...key(), style });
  }
  // Row 0 stands closest to the spans, so the drawing grows upwards.
  for (let r = 0; r < rows.length; r++) {
    for (const m of rows[r] ?? []) {
      d.canvas.write(d.row + rows.length - 1 - r, m.from, m.label, m.style);
    }
  }
  return rows.length;
}

function drawSpans(d: Drawing & { f: Frame }, spans: readonly Span[], row: number): void {
  let taken = d.left - 1;
  const blocks = spans.map((span) => {
    const to = Math.max(d.column(span.to), Math.min(taken + 1, d.canvas.columns - 1));
    const from = Math.min(to, Math.max(d.column(span.from), taken + 1));
    taken = to;
    return { span, from, to, tone: span.tone ?? 'accent', label: clean(span.label ?? '') };
  });
  const inset = d.f.colour ? 2 : 4;
  const fits = (b: { from: number; to: number; label: string }) => b.to - b.from + 1 >= width(b.label) + inset;
  for (const b of blocks) {
    const cells = b.to - b.from + 1;
    d.canvas.write(
      row,
      b.from,
      (d.f.colour ? ' ' : SHADES[b.tone]).repeat(cells),
      d.f.colour ? BLOCKS[b.tone] : undefined,
    );
    if (b.label !== '' && fits(b)) {
      d.canvas.write(
        row,
        b.from + 1,
        ` ${b.label} `.slice(d.f.colour ? 1 : 0),
        d.f.colour ? BLOCKS[b.tone] : undefined,
      );
    }
  }
  blocks.forEach((b, i) => {
    if (b.label === '' || fits(b)) return;
    const style = toneStyle(b.span.tone);
    const w = width(b.label);
    const next = blocks[i + 1]?.from ?? d.canvas.columns + 1;
    const before = blocks[i - 1]?.to ?? d.left - 2;
    if (b.to + 2 + w < next && d.canvas.free(row, b.to + 1, b.to + 2 + w))
      d.canvas.write(row, b.to + 2, b.label, style);
    else if (b.from - 2 - w > before && d.canvas.free(row, b.from - 2 - w, b.from - 1)) {
      d.canvas.write(row, b.from - 1 - w, b.label, style);
    } else {
      const key = d.legend.add(b.label, style, `${d.time(b.span.from)} – ${d.time(b.span.to)}`);
      d.canvas.write(row, b.from, key, d.f.colour ? BLOCKS[b.tone] : undefined);
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
