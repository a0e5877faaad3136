import type { BarsEvent } from '../events.ts';
import { barScale } from '../render/bars.ts';
import { clean, quantity } from '../text.ts';
import { INNER, label, line, PAD, page, rect, textWidth, WIDTH, wrapText } from './page.ts';

const BAR = 20;
const LINE = 16;

export function barsPicture(event: BarsEvent): string {
  const scale = barScale(event);
  const unit = clean(event.unit ?? '');
  const items = event.items.map((item) => {
    const value = quantity(item.value, unit);
    const note = clean(item.note ?? '');
    return { ...item, value, note, amount: item.value };
  });
  const names = Math.min(INNER * 0.34, Math.max(0, ...items.map((i) => textWidth(clean(i.label), 13))));
  const values = Math.max(0, ...items.map((i) => textWidth(i.value, 13, true)));
  const notes = Math.max(0, ...items.map((i) => textWidth(i.note, 12)));
  const left = PAD + names + 14;
  const room = WIDTH - PAD - left;
  const beside = room - values - notes - 24 >= 160;
  const span = Math.max(80, room - values - 10 - (beside && notes > 0 ? notes + 14 : 0));
  const zero = scale.at(0) ?? 0;

  let y = 0;
  const body: string[] = [];
  for (const item of items) {
    const lines = wrapText(item.label, 13, Math.max(names, 40));
    const note = beside || item.note === '' ? [] : wrapText(item.note, 12, room);
    const height = Math.max(lines.length * LINE, BAR + note.length * LINE);
    const middle = y + BAR / 2;
    lines.forEach((text, i) => {
      body.push(label(PAD, middle + i * LINE, text, { size: 13 }));
    });
    const end = item.amount === null ? undefined : scale.at(item.amount);
    let after = left + zero * span;
    if (end !== undefined && item.amount !== 0) {
      const from = left + Math.min(zero, end) * span;
      const w = Math.max(2, Math.abs(end - zero) * span);
      body.push(rect(from, y, w, BAR, item.tone ?? 'accent'));
      after = from + w;
    }
    body.push(label(after + 8, middle, item.value, { size: 13, bold: true }));
    const afterValue = after + 8 + textWidth(item.value, 13, true) + 10;
    if (beside && item.note !== '') body.push(label(afterValue, middle, item.note, { tone: 'soft' }));
    note.forEach((text, i) => {
      body.push(label(left, y + BAR + (i + 0.6) * LINE, text, { tone: 'soft' }));
    });
    y += height + 12;
  }
  const height = Math.max(0, y - 12);
  body.push(line(left + zero * span, -4, left + zero * span, height + 4, 'axis'));
  const told = items.map((i) => `${clean(i.label)}: ${i.value}${i.note === '' ? '' : ` (${i.note})`}`);
  return page(event.title, `Bars. ${told.join('; ')}.`, height, body);
}
