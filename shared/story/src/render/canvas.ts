/** A grid of terminal cells to draw a chart on, row by row, wide characters included. */
import { graphemes, type Paint, type Style, width } from '../text.ts';

interface Cell {
  text: string;
  style: Style | undefined;
}

/** Stands in the second cell of a wide character. */
const CONTINUATION = '';

export class Canvas {
  readonly columns: number;
  readonly #rows: Cell[][] = [];

  constructor(columns: number) {
    this.columns = columns;
  }

  /** Writes a text; what lies outside of the canvas is left out. */
  write(row: number, column: number, text: string, style?: Style): void {
    let at = column;
    for (const g of graphemes(text)) {
      const w = width(g);
      if (w === 0) continue;
      if (at >= 0 && at + w <= this.columns) this.#put(row, at, g, w, style);
      at += w;
    }
  }

  /** Whether nothing stands in these cells: a coloured blank is something. */
  free(row: number, from: number, to: number): boolean {
    const cells = this.#rows[row];
    if (cells === undefined) return true;
    for (const cell of cells.slice(Math.max(0, from), to + 1)) {
      if (cell.text !== ' ' || cell.style !== undefined) return false;
    }
    return true;
  }

  toLines(paint: Paint): string[] {
    return this.#rows.map((cells) => {
      let line = '';
      let run = '';
      let style: Style | undefined;
      const flush = () => {
        line += style === undefined ? run : paint(style, run);
        run = '';
      };
      for (const cell of cells) {
        if (cell.style !== style) {
          flush();
          style = cell.style;
        }
        run += cell.text;
      }
      flush();
      return line.trimEnd();
    });
  }

  #put(row: number, column: number, text: string, w: number, style: Style | undefined): void {
    while (this.#rows.length <= row) {
      this.#rows.push(Array.from({ length: this.columns }, () => ({ text: ' ', style: undefined })));
    }
    const cells = this.#rows[row];
    if (cells === undefined) return;
    // Half of a wide character cannot stay: blank the other half.
    if (cells[column]?.text === CONTINUATION) cells[column - 1] = { text: ' ', style: undefined };
    if (cells[column + w]?.text === CONTINUATION) cells[column + w] = { text: ' ', style: undefined };
    cells[column] = { text, style };
    for (let c = column + 1; c < column + w; c++) cells[c] = { text: CONTINUATION, style };
  }
}
