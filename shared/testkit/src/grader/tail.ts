import { closeSync, openSync, readSync } from 'node:fs';
import type { TraceEvent } from '../trace.ts';

/** Reads what was appended to a file since the last read. */
export class Tail implements Disposable {
  readonly #file: number;
  readonly #buffer = Buffer.allocUnsafe(65_536);
  #position = 0;
  #rest = '';

  constructor(path: string) {
    this.#file = openSync(path, 'a+');
  }

  read(): TraceEvent[] {
    const chunks: Buffer[] = [];
    for (;;) {
      const bytes = readSync(this.#file, this.#buffer, 0, this.#buffer.length, this.#position);
      if (bytes === 0) break;
      this.#position += bytes;
      chunks.push(Buffer.from(this.#buffer.subarray(0, bytes)));
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
