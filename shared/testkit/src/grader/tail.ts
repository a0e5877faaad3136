import { closeSync, openSync, readSync } from 'node:fs';
import type { TraceEvent } from '../trace.ts';

/** Reads what was appended to a file since the last read. */
export class Tail implements Disposable {
  readonly #file: number;
  #position = 0;
  #rest = '';

  constructor(path: string) {
    this.#file = openSync(path, 'a+');
  }

  read(): TraceEvent[] {
    const chunks: Buffer[] = [];
    for (;;) {
      const buffer = Buffer.alloc(65_536);
      const bytes = readSync(this.#file, buffer, 0, buffer.length, this.#position);
      if (bytes === 0) break;
      this.#position += bytes;
      chunks.push(buffer.subarray(0, bytes));
    }
    if (chunks.length === 0) return [];
    const text = this.#rest + Buffer.concat(chunks).toString();
    const lines = text.split('\n');
    this.#rest = lines.pop() ?? '';
    return lines.map((line) => JSON.parse(line));
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }
}
