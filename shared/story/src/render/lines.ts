import type { LinesEvent, Series } from '../events.ts';
import { clip, inside, type Plot, plotOf, runs } from '../geometry.ts';
import { clean, figure, padStart, type Style, truncate, width, wrap } from '../text.ts';
import { Canvas } from './canvas.ts';
import { type Frame, toneStyle } from './frame.ts';

const MARKERS = ['●', '▲', '■', '◆', '○', '△', '□', '◇'];
const PALETTE: readonly Style[] = ['cyan', 'magenta', 'yellow', 'green', 'blue', 'red', 'white', 'gray'];
/** Braille dots by [row][column] of a cell: 2 across, 4 down. */
const DOTS = [
  [0x01, 0x08],
  [0x02, 0x10],
  [0x04, 0x20],
  [0x40, 0x80],
] as const;

export function renderLines(event: LinesEvent, f: Frame): string[] {
  const height = f.width >= 100 ? 15 : 11;
  const wanted = Math.floor(height / 3);
  const plot = plotOf(event, wanted);
  const ticks = plot.y.ticks(wanted);
  const gutter = Math.min(12, Math.max(1, ...ticks.map((t) => width(figure(t)))));
  const columns = f.inner - gutter - 2;
  const canvas = new Canvas(f.inner);
  const left = gutter + 2;
  const column = (x: number) => left + Math.round(x * (columns - 1));
  const row = (y: number) => Math.round((1 - y) * (height - 1));

  for (let r = 0; r < height; r++) canvas.write(r, gutter + 1, '│', 'dim');
  for (const t of ticks) {
    const at = plot.y.at(t);
    if (at === undefined) continue;
    canvas.write(row(at), 0, padStart(truncate(figure(t), gutter), gutter), 'dim');
    canvas.write(row(at), gutter + 1, '┤', 'dim');
  }
  for (const moment of event.moments ?? []) {
    const x = plot.x.at(moment.at);
    if (x === undefined || x < 0 || x > 1) continue;
    for (let r = 0; r < height; r++) canvas.write(r, column(x), '┊', 'dim');
  }
  event.series.forEach((series, i) => {
    drawSeries(canvas, series, plot, { left, columns, height, style: seriesStyle(series, i) });
  });
  event.series.forEach((series, i) => {
    const points = runs(series, plot).flat().filter(inside);
    const every = Math.max(1, Math.ceil((points.length * 6) / columns));
    // One dense line needs no markers; several are told apart by them even without colour.
    if (event.series.length === 1 && every > 1) return;
    points.forEach(([x, y], k) => {
      if (k % every === 0) canvas.write(row(y), column(x), MARKERS[i % MARKERS.length] ?? '●', seriesStyle(series, i));
    });
  });
  for (const moment of event.moments ?? []) {
    const x = plot.x.at(moment.at);
    if (x === undefined || x < 0 || x > 1) continue;
    const label = truncate(clean(moment.label), columns - 2);
    const at = column(x) + 2;
    const start = at + width(label) <= f.inner ? at : column(x) - 1 - width(label);
    const r = [0, 1, 2, 3].find((k) => canvas.free(k, start, start + width(label) - 1)) ?? 0;
    canvas.write(r, start, label, toneStyle(moment.tone ?? 'muted'));
  }
  drawAxis(canvas, plot.x.ticks(Math.max(2, Math.floor(columns / 12))), {
    row: height,
    gutter,
    place: (t) => {
      const at = plot.x.at(t);
      return at === undefined || at < -1e-9 || at > 1 + 1e-9 ? undefined : column(at);
    },
  });
  const empty = event.series.every((s) => runs(s, plot).length === 0);
  if (empty) canvas.write(Math.floor(height / 2), left + 2, 'nothing was measured', 'dim');

  return [
    ...wrap(clean(event.title), f.inner).map((line) => f.paint('bold', line)),
    ...legend(event, f),
    ...canvas.toLines(f.paint),
    f.paint('dim', padStart(truncate(axisLabel(event.x), f.inner), f.inner)),
  ];
}

function legend(event: LinesEvent, f: Frame): string[] {
  const names = event.series.map(
    (s, i) => `${f.paint(seriesStyle(s, i), MARKERS[i % MARKERS.length] ?? '●')} ${clean(s.label)}`,
  );
  return wrap([f.paint('dim', axisLabel(event.y)), ...names].join('   '), f.inner);
}

export function axisLabel(axis: { label: string; unit?: string }): string {
  return clean(axis.unit === undefined || axis.unit === '' ? axis.label : `${axis.label}, ${axis.unit}`);
}

function seriesStyle(series: Series, index: number): Style {
  return series.tone === undefined ? (PALETTE[index % PALETTE.length] ?? 'cyan') : toneStyle(series.tone);
}

function drawSeries(
  canvas: Canvas,
  series: Series,
  plot: Plot,
  at: { left: number; columns: number; height: number; style: Style },
): void {
  const cells = new Map<number, number>();
  const [across, down] = [at.columns * 2 - 1, at.height * 4 - 1];
  const dot = (x: number, y: number) => {
    const cell = Math.floor(y / 4) * at.columns + Math.floor(x / 2);
    cells.set(cell, (cells.get(cell) ?? 0) | (DOTS[y % 4]?.[x % 2] ?? 0));
  };
  for (const run of runs(series, plot)) {
    for (let i = 0; i < run.length; i++) {
      const [a, b] = [run[Math.max(0, i - 1)], run[i]];
      const part = a === undefined || b === undefined ? undefined : clip(a, b);
      if (part === undefined) continue;
      const [[x0, y0], [x1, y1]] = part;
      const [dx, dy] = [(x1 - x0) * across, (y1 - y0) * down];
      const steps = Math.max(1, Math.ceil(Math.max(Math.abs(dx), Math.abs(dy))));
      for (let s = 0; s <= steps; s++) {
        dot(Math.round(x0 * across + (dx * s) / steps), Math.round((1 - y0) * down - (dy * s) / steps));
      }
    }
  }
  for (const [cell, bits] of cells) {
    const glyph = String.fromCodePoint(0x2800 + bits);
    canvas.write(Math.floor(cell / at.columns), at.left + (cell % at.columns), glyph, at.style);
  }
}

/** `└──┬──┬──` and the figures below; a figure that would touch its neighbour is left out. */
export function drawAxis(
  canvas: Canvas,
  ticks: readonly number[],
  at: { row: number; gutter: number; place: (tick: number) => number | undefined },
): void {
  canvas.write(at.row, at.gutter + 1, `└${'─'.repeat(Math.max(0, canvas.columns - at.gutter - 2))}`, 'dim');
  for (const t of ticks) {
    const column = at.place(t);
    if (column === undefined) continue;
    canvas.write(at.row, column, '┬', 'dim');
    const text = figure(t);
    const start = Math.min(Math.max(at.gutter + 1, column - Math.floor(width(text) / 2)), canvas.columns - width(text));
    if (canvas.free(at.row + 1, start - 1, start + width(text))) canvas.write(at.row + 1, start, text, 'dim');
  }
}
