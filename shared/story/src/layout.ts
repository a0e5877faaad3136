/**
 * Where labels go so that none covers another. Units are the caller's: columns of a terminal, pixels of a picture.
 * Intervals are half open: [from, to).
 */

export interface Box {
  readonly from: number;
  readonly to: number;
  /** Width of the label; 0 when there is none. */
  readonly label: number;
}

/** Where a label stands; `key`: nowhere near, so a legend must explain it. */
export type Place = 'none' | 'inside' | 'right' | 'left' | 'key';

export interface Room {
  readonly left: number;
  readonly right: number;
  /** Kept free between two things. */
  readonly gap: number;
}

/** For boxes of one row, in order: their label inside, else beside, else by key. */
export function placeLabels(boxes: readonly Box[], room: Room & { inset: number }): Place[] {
  let taken = room.left - room.gap;
  return boxes.map((box, i) => {
    const before = taken;
    taken = box.to;
    if (box.label === 0) return 'none';
    if (box.to - box.from >= box.label + room.inset) return 'inside';
    const next = boxes[i + 1]?.from ?? room.right + room.gap;
    const end = box.to + room.gap + box.label;
    if (end + room.gap <= next && end <= room.right) {
      taken = end;
      return 'right';
    }
    return box.from - room.gap - box.label >= before + room.gap ? 'left' : 'key';
  });
}

export interface Placed {
  /** Counted from the row closest to the spans. */
  readonly row: number;
  readonly side: 'right' | 'left' | 'key';
}

/** For marks in order of time: a row, and the side of the sign that its label stands on. */
export function placeMarks(
  marks: readonly { readonly at: number; readonly label: number }[],
  room: Room & { glyph: number; rows: number },
): Placed[] {
  const rows: { from: number; to: number }[][] = Array.from({ length: room.rows }, () => []);
  const free = (row: number, from: number, to: number, gap: number) =>
    !(rows[row] ?? []).some((m) => m.from < to + gap && m.to + gap > from);
  return marks.map(({ at, label }) => {
    const all = rows.keys().toArray();
    const sides = [
      { side: 'right', from: at, to: at + room.glyph + room.gap + label },
      { side: 'left', from: at - room.gap - label, to: at + room.glyph },
    ] as const;
    const spots = all.flatMap((row) => sides.map((s) => ({ row, ...s })));
    const spot =
      spots.find((s) => s.from >= room.left && s.to <= room.right && free(s.row, s.from, s.to, room.gap)) ??
      ({
        row: all.find((row) => free(row, at, at + room.glyph, 0)) ?? room.rows - 1,
        side: 'key',
        from: at,
        to: at + room.glyph,
      } as const);
    rows[spot.row]?.push({ from: spot.from, to: spot.to });
    return { row: spot.row, side: spot.side };
  });
}

/** Labels without room on the drawing get a letter there and a line below it; equal labels share one. */
export class Legend<Style> {
  readonly entries = new Map<string, { readonly key: string; readonly style: Style; readonly times: string[] }>();

  add(label: string, style: Style, time: string): string {
    const entry = this.entries.get(label) ?? { key: KEYS[this.entries.size] ?? '*', style, times: [] };
    entry.times.push(time);
    this.entries.set(label, entry);
    return entry.key;
  }

  lines(): { key: string; label: string; times: string; style: Style }[] {
    return [...this.entries].map(([label, { key, style, times }]) => ({
      key,
      label,
      style,
      times:
        times.length > 4 ? `${times.slice(0, 3).join(', ')} … ${times.at(-1)} (${times.length}×)` : times.join(', '),
    }));
  }
}

const KEYS = 'abcdefghijklmnopqrstuvwxyz';
