import type { Column, TableEvent } from '../events.ts';
import { clean, figure, padEnd, padStart, width, wrap } from '../text.ts';
import type { Frame } from './frame.ts';

const GAP = 3;
/** A column keeps its longest word whole, up to this many columns of the screen. */
const LONGEST_WORD = 16;

export function renderTable(event: TableEvent, f: Frame): string[] {
  const columns = event.columns.map((c) => ({ label: clean(c.label), align: c.align }));
  const rows = event.rows.map((row) => columns.map((_, i) => show(row[i] ?? (i < row.length ? null : ''))));
  const natural = columns.map((c, i) => Math.max(1, width(c.label), ...rows.map((row) => width(row[i] ?? ''))));
  const least = columns.map((c, i) => longestWord([c.label, ...rows.map((row) => row[i] ?? '')]));
  const widths = fit(natural, least, f.inner - GAP * (columns.length - 1));
  const caption = event.caption === undefined ? [] : wrap(clean(event.caption), f.inner).map((l) => f.paint('bold', l));
  if (columns.length === 0) return caption;
  if (widths === undefined) return [...caption, ...records(columns, rows, f)];
  const total = widths.reduce((a, b) => a + b, 0) + GAP * (columns.length - 1);
  return [
    ...caption,
    ...line(
      columns.map((c) => c.label),
      columns,
      widths,
    ).map((l) => f.paint('dim', l)),
    f.paint('dim', '─'.repeat(total)),
    ...rows.flatMap((row) => line(row, columns, widths)),
  ];
}

function show(cell: string | number | null): string {
  return typeof cell === 'string' ? clean(cell) : figure(cell);
}

/** Takes from the widest columns until all fit; undefined when that would break words. */
function fit(natural: readonly number[], least: readonly number[], room: number): number[] | undefined {
  const widths = [...natural];
  let excess = widths.reduce((a, b) => a + b, 0) - room;
  for (; excess > 0; excess--) {
    const spare = widths.map((w, i) => (w > (least[i] ?? 0) ? w : 0));
    const widest = Math.max(...spare);
    if (widest === 0) return undefined;
    widths[spare.lastIndexOf(widest)] = widest - 1;
  }
  return widths;
}

function longestWord(cells: readonly string[]): number {
  return Math.min(LONGEST_WORD, Math.max(2, ...cells.flatMap((cell) => cell.split(' ')).map(width)));
}

function line(cells: readonly string[], columns: readonly Column[], widths: readonly number[]): string[] {
  const wrapped = cells.map((cell, i) => wrap(cell, widths[i] ?? 1));
  const height = Math.max(...wrapped.map((w) => w.length));
  return Array.from({ length: height }, (_, row) =>
    wrapped
      .map((parts, i) => (columns[i]?.align === 'right' ? padStart : padEnd)(parts[row] ?? '', widths[i] ?? 1))
      .join(' '.repeat(GAP))
      .trimEnd(),
  );
}

/** More columns than the line has room for: one record a row, one cell a line. */
function records(columns: readonly Column[], rows: readonly (readonly string[])[], f: Frame): string[] {
  const label = Math.min(Math.max(...columns.map((c) => width(c.label))), Math.floor(f.inner * 0.4));
  return rows.flatMap((row) => [
    ...row.flatMap((cell, i) => {
      const names = wrap(columns[i]?.label ?? '', Math.max(2, label));
      const values = wrap(cell, f.inner - label - 2);
      return Array.from({ length: Math.max(names.length, values.length) }, (_, k) =>
        `${f.paint('dim', padEnd(names[k] ?? '', label))}  ${values[k] ?? ''}`.trimEnd(),
      );
    }),
    f.paint('dim', '─'.repeat(Math.min(f.inner, 24))),
  ]);
}
