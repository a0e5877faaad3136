import type { LinesEvent, Tone } from '../events.ts';
import { clip, inside, type Point, plotOf, runs } from '../geometry.ts';
import { axisLabel } from '../render/lines.ts';
import { clean, figure } from '../text.ts';
import { INNER, label, line, PAD, page, px, textWidth, WIDTH } from './page.ts';

const HEIGHT = 250;
const TICKS = 5;
const PALETTE: readonly (Tone | 'other')[] = ['accent', 'other', 'warn', 'good', 'bad', 'muted'];
const LEGEND = 22;

export function linesPicture(event: LinesEvent): string {
  const plot = plotOf(event, TICKS);
  const ticks = plot.y.ticks(TICKS);
  const left = PAD + Math.max(0, ...ticks.map((t) => textWidth(figure(t), 11))) + 10;
  const span = WIDTH - PAD - left - 6;
  const body: string[] = [];

  // Legend: the y axis's name, then a stroke and a name a series, wrapped.
  body.push(label(PAD, 0, axisLabel(event.y), { tone: 'soft' }));
  let [lx, ly] = [PAD + textWidth(axisLabel(event.y), 12) + 24, 0];
  event.series.forEach((series, i) => {
    const name = clean(series.label);
    const w = 26 + textWidth(name, 12) + 18;
    if (lx + w > PAD + INNER && lx > PAD) [lx, ly] = [PAD, ly + LEGEND];
    body.push(line(lx, ly, lx + 18, ly, `stroke ${hue(series.tone, i)}-line`), label(lx + 26, ly, name));
    lx += w;
  });
  const top = ly + LEGEND;
  const at = ([x, y]: Point): Point => [left + x * span, top + (1 - y) * HEIGHT];

  for (const t of ticks) {
    const y = plot.y.at(t);
    if (y === undefined || y < -1e-9 || y > 1 + 1e-9) continue;
    const [, py] = at([0, y]);
    body.push(
      line(left, py, left + span, py, 'grid'),
      label(left - 8, py, figure(t), { size: 11, tone: 'soft', anchor: 'end' }),
    );
  }
  const bottom = top + HEIGHT;
  body.push(line(left, bottom, left + span, bottom, 'axis'));
  let free = -Infinity;
  for (const t of plot.x.ticks(8)) {
    const x = plot.x.at(t);
    if (x === undefined || x < -1e-9 || x > 1 + 1e-9) continue;
    const [px0] = at([x, 0]);
    const half = textWidth(figure(t), 11) / 2;
    body.push(line(px0, bottom, px0, bottom + 4, 'axis'));
    if (px0 - half < free) continue;
    body.push(label(px0, bottom + 15, figure(t), { size: 11, tone: 'soft', anchor: 'middle' }));
    free = px0 + half + 8;
  }
  body.push(label(left + span, bottom + 34, axisLabel(event.x), { tone: 'soft', anchor: 'end' }));

  event.moments?.forEach((moment, i) => {
    const x = plot.x.at(moment.at);
    if (x === undefined || x < 0 || x > 1) return;
    const [mx] = at([x, 0]);
    const tone = moment.tone ?? 'muted';
    const text = clean(moment.label);
    const flip = mx + 6 + textWidth(text, 11) > left + span;
    body.push(
      line(mx, top, mx, bottom, `${tone}-line dash`),
      label(mx + (flip ? -6 : 6), top + 8 + (i % 3) * 15, text, {
        size: 11,
        tone: 'soft',
        anchor: flip ? 'end' : 'start',
        halo: true,
      }),
    );
  });
  event.series.forEach((series, i) => {
    const tone = hue(series.tone, i);
    for (const run of runs(series, plot)) {
      body.push(...paths(thin(run, span), at, `stroke ${tone}-line`));
      if (run.length > 40) continue;
      for (const point of run.filter(inside)) {
        const [x, y] = at(point);
        body.push(`<circle cx="${px(x)}" cy="${px(y)}" r="3" class="${tone}"/>`);
      }
    }
  });
  const empty = event.series.every((s) => runs(s, plot).length === 0);
  if (empty)
    body.push(label(left + span / 2, top + HEIGHT / 2, 'nothing was measured', { tone: 'soft', anchor: 'middle' }));
  const told = event.series.map((s) => {
    const ys = s.points.map(([, y]) => y).filter((y) => y !== null);
    if (ys.length === 0) return `${clean(s.label)}: nothing was measured`;
    const [lo, hi] = [ys.reduce((a, b) => Math.min(a, b)), ys.reduce((a, b) => Math.max(a, b))];
    return `${clean(s.label)}: from ${figure(lo)} to ${figure(hi)}`;
  });
  return page(
    event.title,
    `Lines. ${axisLabel(event.y)} by ${axisLabel(event.x)}. ${told.join('; ')}.`,
    bottom + 40,
    body,
  );
}

function hue(tone: Tone | undefined, index: number): string {
  return tone ?? PALETTE[index % PALETTE.length] ?? 'accent';
}

/** Paths of one run, cut where it leaves the plot. */
function paths(run: readonly Point[], at: (p: Point) => Point, classes: string): string[] {
  const parts: Point[][] = [];
  for (let i = 1; i < run.length; i++) {
    const [a, b] = [run[i - 1], run[i]];
    const part = a === undefined || b === undefined ? undefined : clip(a, b);
    if (part === undefined) continue;
    const [from, to] = part;
    const last = parts.at(-1)?.at(-1);
    if (last !== undefined && last[0] === from[0] && last[1] === from[1]) parts.at(-1)?.push(to);
    else parts.push([from, to]);
  }
  return parts.map((points) => {
    const d = points.map((p, i) => `${i === 0 ? 'M' : 'L'}${at(p).map(px).join(' ')}`).join('');
    return `<path d="${d}" class="${classes}"/>`;
  });
}

/** Of more points than pixels, the extremes of each pixel tell the same. */
function thin(run: readonly Point[], pixels: number): readonly Point[] {
  if (run.length <= pixels * 2) return run;
  const kept: Point[] = [];
  let bucket: Point[] = [];
  const flush = () => {
    const [first, last] = [bucket[0], bucket.at(-1)];
    if (first === undefined || last === undefined) return;
    const low = bucket.reduce((a, b) => (b[1] < a[1] ? b : a));
    const high = bucket.reduce((a, b) => (b[1] > a[1] ? b : a));
    kept.push(...new Set([first, ...bucket.filter((p) => p === low || p === high), last]));
    bucket = [];
  };
  for (const point of run) {
    const [x] = bucket;
    if (x !== undefined && Math.floor(x[0] * pixels) !== Math.floor(point[0] * pixels)) flush();
    bucket.push(point);
  }
  flush();
  return kept;
}
