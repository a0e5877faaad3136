import { closeSync, openSync, writeSync } from 'node:fs';
import { LogFileError, reasonOf } from './errors.ts';

/** Lines that a full disk refuses wait here; beyond it they are dropped, and counted. */
const MOST_WAITING_BYTES = 2 ** 20;

/**
 * A file that lines are appended to, from this thread and at once: what a thread or a callback was to write is lost
 * when the process is told to go. It never waits for a disk that is full, as SonicBoom's `flushSync` does, for ever.
 */
export class LineFile {
  /** Lines that were not kept. */
  dropped = 0;
  readonly #path: string;
  #bufferBytes: number;
  #fd: number;
  #waiting: Buffer[] = [];
  #bytes = 0;

  /** @throws LogFileError when the file can't be opened */
  constructor(path: string, bufferBytes: number) {
    this.#path = path;
    this.#bufferBytes = bufferBytes;
    this.#fd = this.#open();
  }

  write(line: string): void {
    const bytes = Buffer.from(line);
    if (this.#fd < 0 || this.#bytes + bytes.length > Math.max(MOST_WAITING_BYTES, this.#bufferBytes)) {
      this.dropped++;
      return;
    }
    this.#waiting.push(bytes);
    this.#bytes += bytes.length;
    if (this.#bytes > this.#bufferBytes) this.flush();
  }

  /** Hands what waits to the kernel. What it doesn't take waits for the next time. */
  flush(): void {
    if (this.#fd < 0 || this.#bytes === 0) return;
    let rest = Buffer.concat(this.#waiting);
    try {
      while (rest.length > 0) rest = rest.subarray(writeSync(this.#fd, rest));
    } catch {
      // Half a line may be in the file: its other half stays the first to be written.
    }
    this.#waiting = rest.length > 0 ? [rest] : [];
    this.#bytes = rest.length;
  }

  /** From now on nothing waits. */
  unbuffer(): void {
    this.#bufferBytes = 0;
    this.flush();
  }

  /** Goes on in a new file of the old name. False: there can't be one, and it goes on in the old one. */
  reopen(): boolean {
    this.flush();
    if (this.#fd < 0) return false;
    try {
      const next = this.#open();
      closeSync(this.#fd);
      this.#fd = next;
      return true;
    } catch {
      return false;
    }
  }

  close(): void {
    this.flush();
    for (const bytes of this.#waiting) this.dropped += bytes.toString('latin1').split('\n').length - 1;
    [this.#waiting, this.#bytes] = [[], 0];
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  #open(): number {
    try {
      return openSync(this.#path, 'a');
    } catch (cause) {
      throw new LogFileError(`${this.#path} can't be opened: ${reasonOf(cause)}.`, { cause });
    }
  }
}
