import type { TimelineEvent } from '../events.ts';
import { rowsOf, timeScale } from '../geometry.ts';
import { Legend, placeLabels, placeMarks } from '../layout.ts';
import { clean, figure, quantity } from '../text.ts';
import { INNER, label, line, PAD, page, px, rect, textWidth, WIDTH, wrapText } from './page.ts';

const SPAN = 26;
const MARK = 19;
const GLYPH = 10;

export function timelinePicture(event: TimelineEvent): string {
  const scale = timeScale(event);
  const unit = clean(event.unit ?? '');
  const time = (t: number) => quantity(t, unit);
  const names = Math.min(
    INNER * 0.26,
    Math.max(textWidth(unit, 11), ...event.lanes.map((l) => textWidth(clean(l.label), 13, true))),
  );
  const left = PAD + names + 16;
  const right = WIDTH - PAD;
  const x = (t: number) => left + Math.min(1, Math.max(0, scale.at(t) ?? 0)) * (right - left);
  const legend = new Legend<string>();
  const ticks = scale.ticks(8);
  const stems: string[] = [];
  const marksBody: string[] = [];
  const body: string[] = [];
  let y = 0;

  event.lanes.forEach((lane, index) => {
    if (index > 0) y += 14;
    const marks = [...(lane.marks ?? [])].sort((a, b) => a.at - b.at);
    const signs = marks.map((m) => ({ at: x(m.at) - GLYPH / 2, label: textWidth(clean(m.label), 11) }));
    const places = placeMarks(signs, { left, right: right + PAD / 2, gap: 4, glyph: GLYPH, rows: 3 });
    const rows = Math.max(0, ...places.map((p) => p.row + 1));
    const spansTop = y + rows * MARK;
    const spanRows = rowsOf(lane.spans ?? []);
    const foot = spansTop + spanRows.length * (SPAN + 4) - (spanRows.length > 0 ? 4 : 0);
    marks.forEach((mark, i) => {
      const place = places[i] ?? { row: 0, side: 'key' };
      const tone = mark.tone ?? 'accent';
      const at = x(mark.at);
      const middle = y + (rows - 1 - place.row) * MARK + MARK / 2;
      const text = clean(mark.label);
      // A hint of the stem reaches into the span: further down it would cross the span's label.
      stems.push(line(at, middle, at, spanRows.length === 0 ? middle : spansTop + 4, `${tone}-line`));
      if (place.side === 'key') {
        const key = legend.add(text, tone, time(mark.at));
        marksBody.push(label(at, middle - 1, key, { size: 11, bold: true, tone, anchor: 'middle', halo: true }));
        return;
      }
      const beside = place.side === 'right' ? at + GLYPH / 2 + 4 : at - GLYPH / 2 - 4;
      const anchor = place.side === 'right' ? 'start' : 'end';
      marksBody.push(triangle(at, middle, tone), label(beside, middle, text, { size: 11, anchor, halo: true }));
    });
    spanRows.forEach((spans, i) => {
      const top = spansTop + i * (SPAN + 4);
      const boxes = spans.map((s) => {
        const from = x(s.from);
        return { from, to: Math.max(from + 3, x(s.to)), label: textWidth(clean(s.label ?? ''), 12) };
      });
      const spots = placeLabels(boxes, { left, right: right + PAD / 2, gap: 5, inset: 10 });
      spans.forEach((span, k) => {
        const box = boxes[k];
        if (box === undefined) return;
        const tone = span.tone ?? 'accent';
        const text = clean(span.label ?? '');
        const middle = top + SPAN / 2;
        body.push(rect(box.from, top, box.to - box.from, SPAN, `${tone}-wash`, 4));
        if (spots[k] === 'inside') body.push(label((box.from + box.to) / 2, middle, text, { anchor: 'middle' }));
        else if (spots[k] === 'right') body.push(label(box.to + 5, middle, text));
        else if (spots[k] === 'left') body.push(label(box.from - 5, middle, text, { anchor: 'end' }));
        else if (spots[k] === 'key') {
          const key = legend.add(text, tone, `${time(span.from)} – ${time(span.to)}`);
          body.push(label((box.from + box.to) / 2, middle, key, { bold: true, anchor: 'middle', halo: true }));
        }
      });
    });
    const lines = wrapText(lane.label, 13, Math.max(names, 30));
    const nameMiddle = spanRows.length === 0 ? y + MARK / 2 : spansTop + SPAN / 2;
    lines.forEach((text, i) => {
      body.push(label(PAD, nameMiddle + i * 16, text, { size: 13, bold: true }));
    });
    y = Math.max(foot, nameMiddle + lines.length * 16 - 6);
  });

  const lanesEnd = y;
  const veils: string[] = [];
  if (event.bands !== undefined && event.bands.length > 0) y += 8;
  for (const band of event.bands ?? []) {
    const tone = band.tone ?? 'bad';
    const [from, to] = [x(Math.min(band.from, band.to)), x(Math.max(band.from, band.to))];
    const text = clean(band.label ?? '');
    veils.push(
      `<rect x="${px(from)}" y="-6" width="${px(Math.max(1, to - from))}" height="${px(lanesEnd + 12)}" class="${tone}-veil"/>`,
      line(from, -6, from, y + 8, `${tone}-line dash`),
      line(to, -6, to, y + 8, `${tone}-line dash`),
      line(from, y + 8, to, y + 8, `stroke ${tone}-line`),
    );
    if (text !== '') {
      const half = textWidth(text, 12, true) / 2;
      const middle = Math.min(Math.max((from + to) / 2, left + half), right - half);
      veils.push(label(middle, y + 20, text, { bold: true, tone, anchor: 'middle', halo: true }));
    }
    y += 32;
  }
  y += 12;

  const grid = ticks.flatMap((t) => [
    line(x(t), -6, x(t), y, 'grid'),
    label(x(t), y + 14, figure(t), { size: 11, tone: 'soft', anchor: 'middle' }),
  ]);
  const axis = [line(left, y, right, y, 'axis'), label(PAD, y + 14, unit, { size: 11, tone: 'soft' })];
  y += 22;
  const keys: string[] = [];
  for (const entry of legend.lines()) {
    y += 8;
    for (const [i, text] of wrapText(`${entry.label} · ${entry.times}`, 12, right - left - 20).entries()) {
      y += 10;
      if (i === 0) keys.push(label(left, y, entry.key, { bold: true, tone: entry.style }));
      keys.push(label(left + 18, y, text, { tone: 'soft' }));
      y += 6;
    }
  }
  return page(event.title, describe(event, time), y, [
    ...grid,
    ...veils,
    ...axis,
    ...body,
    ...stems,
    ...marksBody,
    ...keys,
  ]);
}

function triangle(x: number, middle: number, tone: string): string {
  return `<path d="M${px(x - 5)} ${px(middle - 4)}L${px(x + 5)} ${px(middle - 4)}L${px(x)} ${px(middle + 4)}Z" class="${tone}"/>`;
}

function describe(event: TimelineEvent, time: (t: number) => string): string {
  const lanes = event.lanes.map((lane) => {
    const spans = (lane.spans ?? []).map((s) => `${clean(s.label ?? 'span')} from ${time(s.from)} to ${time(s.to)}`);
    const marks = (lane.marks ?? []).map((m) => `${clean(m.label)} at ${time(m.at)}`);
    return `${clean(lane.label)}: ${[...spans, ...marks].slice(0, 12).join(', ') || 'nothing'}`;
  });
  const bands = (event.bands ?? []).map((b) => `${clean(b.label ?? 'band')}: from ${time(b.from)} to ${time(b.to)}`);
  return `Timeline. ${[...lanes, ...bands].join('; ')}.`;
}
