/** Where things of a chart lie, in proportions of it: shared by the terminal and the picture. */
import type { LinesEvent, Series, Span, TimelineEvent } from './events.ts';
import { type Scale, scaleFor } from './scale.ts';

export type Point = readonly [x: number, y: number];

export interface Plot {
  readonly x: Scale;
  readonly y: Scale;
}

/** Scales of a chart whose y axis has about `ticks` ticks. */
export function plotOf(event: LinesEvent, ticks: number): Plot {
  const points = event.series.flatMap((s) => s.points);
  const xs = points.map(([x]) => x).filter((x) => x !== null);
  const ys = points.map(([, y]) => y).filter((y) => y !== null);
  return {
    x: scaleFor(xs, event.x),
    y: scaleFor(ys, { ...event.y, nice: ticks }),
  };
}

/** Runs of points of one series without a gap; coordinates from 0 to 1 inside the plot, beyond it outside. */
export function runs(series: Series, plot: Plot): Point[][] {
  const all: Point[][] = [[]];
  for (const [px, py] of series.points) {
    const x = px === null ? undefined : plot.x.at(px);
    const y = py === null ? undefined : plot.y.at(py);
    if (x === undefined || y === undefined) all.push([]);
    else all.at(-1)?.push([x, y]);
  }
  return all.filter((run) => run.length > 0);
}

export function inside([x, y]: Point): boolean {
  return x >= 0 && x <= 1 && y >= 0 && y <= 1;
}

/** The part of a line inside the plot (Liang–Barsky); undefined when there is none. */
export function clip([x0, y0]: Point, [x1, y1]: Point): readonly [Point, Point] | undefined {
  const [dx, dy] = [x1 - x0, y1 - y0];
  let [enter, leave] = [0, 1];
  for (const [p, q] of [
    [-dx, x0],
    [dx, 1 - x0],
    [-dy, y0],
    [dy, 1 - y0],
  ] as const) {
    if (p === 0) {
      if (q < 0) return undefined;
    } else if (p < 0) enter = Math.max(enter, q / p);
    else leave = Math.min(leave, q / p);
  }
  if (!(enter <= leave)) return undefined;
  const at = (t: number): Point => [x0 + t * dx, y0 + t * dy];
  return [at(enter), at(leave)];
}

/** The time axis of a timeline: all that happens on it, from 0 unless it begins far from there. */
export function timeScale(event: TimelineEvent): Scale {
  const spans = [...event.lanes.flatMap((l) => l.spans ?? []), ...(event.bands ?? [])];
  const marks = event.lanes.flatMap((l) => l.marks ?? []);
  return scaleFor([...spans.flatMap((s) => [s.from, s.to]), ...marks.map((m) => m.at)]);
}

/** Spans of one lane in rows, so that none hides another. A span given backwards is turned round. */
export function rowsOf(spans: readonly Span[]): Span[][] {
  const rows: Span[][] = [];
  const ordered = spans
    .map((s) => (s.from <= s.to ? s : { ...s, from: s.to, to: s.from }))
    .sort((a, b) => a.from - b.from);
  for (const span of ordered) {
    const row = rows.find((r) => (r.at(-1)?.to ?? -Infinity) <= span.from);
    if (row === undefined) rows.push([span]);
    else row.push(span);
  }
  return rows;
}
