import { createHash, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { assertPlainText, assertWhole, InvalidOptionError, LogFileError, OffsetFileError, reasonOf } from './errors.ts';
import { type LogEvent, parseEvent } from './event.ts';
import { joinLines, type Line, splitLines } from './lines.ts';

/** Where events go. */
export interface Sink {
  /** Resolves when each of the events is kept for good. Rejects when that can't be, and when `signal` aborts. */
  send(events: readonly LogEvent[], signal: AbortSignal): Promise<unknown>;
}

/** What was in the file behind `offset` is gone: nobody can tell how much it was. */
export interface Gap {
  readonly path: string;
  readonly offset: number;
}

export interface ShipperOptions {
  /** The log, by the name that stays when it is rotated. It may be missing for a while. */
  readonly path: string;
  /** Where the shipper notes how far it has come. One file for each log. */
  readonly offsetPath: string;
  readonly sink: Sink;
  /** Part of each event and of its id. Default: this machine's name. */
  readonly host?: string;
  /** Most events of a batch, 1 to 100,000. Default 1,000. */
  readonly batchEvents?: number;
  /** Bytes that are read at once, 256 to 64 Mi. Default 1 Mi: with the batch that is made of them, all that it holds. */
  readonly batchBytes?: number;
  /** Bytes of one event, 64 to `batchBytes`; what is longer is cut. Default a quarter of `batchBytes`. */
  readonly maxEventBytes?: number;
  /** Milliseconds between two looks at a file that has not grown, 1 to 60,000. Default 200. */
  readonly pollMs?: number;
  /**
   * Milliseconds of silence after which a stack trace is complete, and a renamed file is left for the new one: its
   * writer may still have it open. 0 to 600,000. Default 1,000.
   */
  readonly settleMs?: number;
  /** Days that an event's own time may lie back, 1 to 3,650. Default 30. */
  readonly acceptDays?: number;
  /** Told when lines were removed before they were read. */
  readonly onGap?: (gap: Gap) => void;
}

/** How far a file is shipped. `head` and `tail` know the file again, whatever its name is by then. */
export interface Place {
  /** Hash of its first line. */
  readonly head: string;
  /** How many files with this first line came before it. */
  readonly generation: number;
  readonly offset: number;
  /** The bytes before `offset`, in base64. */
  readonly tail: string;
  /** The last 50 files before this one: their heads and generations. */
  readonly before?: readonly (readonly [head: string, generation: number])[];
}

const START: Place = { head: '', generation: 0, offset: 0, tail: '' };
/** The least that is read at once: a head is known from the first batch. */
const HEAD_BYTES = 256;
const TAIL_BYTES = 64;
const MOST_BEFORE = 50;

/**
 * Follows a log, and hands its events to a sink: each at least once, and under the same id when it is twice.
 *
 * It reads a batch, sends it, and notes the place behind it once the sink has it; only then it reads on. So the file is
 * the buffer: a slow index costs no memory, and whoever dies goes on from what was noted.
 */
export class Shipper {
  protected readonly o: Required<Omit<ShipperOptions, 'onGap'>> & Pick<ShipperOptions, 'onGap'>;
  protected place: Place = START;
  protected file: FileHandle | undefined;
  readonly #buffer: Buffer;
  #busy = false;
  #since = 0;
  #size = -1;

  /** @throws InvalidOptionError */
  constructor(options: ShipperOptions) {
    const { batchBytes = 2 ** 20, onGap } = options;
    const o = {
      host: hostname(),
      batchEvents: 1_000,
      batchBytes,
      maxEventBytes: Math.max(64, Math.floor(batchBytes / 4)),
      pollMs: 200,
      settleMs: 1_000,
      acceptDays: 30,
      ...options,
    };
    for (const name of ['path', 'offsetPath', 'host'] as const) assertPlainText(name, o[name]);
    if (resolve(o.path) === resolve(o.offsetPath)) throw new InvalidOptionError('offsetPath is the log itself.');
    assertWhole('batchBytes', o.batchBytes, HEAD_BYTES, 2 ** 26);
    assertWhole('batchEvents', o.batchEvents, 1, 100_000);
    assertWhole('maxEventBytes', o.maxEventBytes, 64, o.batchBytes);
    assertWhole('pollMs', o.pollMs, 1, 60_000);
    assertWhole('settleMs', o.settleMs, 0, 600_000);
    assertWhole('acceptDays', o.acceptDays, 1, 3_650);
    this.o = { ...o, ...(onGap && { onGap }) };
    this.#buffer = Buffer.alloc(TAIL_BYTES + o.batchBytes);
  }

  /**
   * Ships what is there and what comes, until `signal` aborts; then it resolves, and what was not acknowledged is
   * shipped by the next run.
   * @throws LogFileError, OffsetFileError, and what the sink throws
   */
  async run(signal: AbortSignal): Promise<void> {
    await this.#ship(signal, true);
  }

  /** Ships all that is there now, a stack trace at the end included, but no line without its end. Throws as `run`. */
  async drain(signal: AbortSignal = new AbortController().signal): Promise<void> {
    await this.#ship(signal, false);
  }

  async #ship(signal: AbortSignal, follow: boolean): Promise<void> {
    if (this.#busy) throw new InvalidOptionError(`${this.o.path}: this shipper runs already.`);
    this.#busy = true;
    try {
      this.place = await this.load();
      while (!signal.aborted) {
        if (await this.step(signal, !follow)) continue;
        if (!follow) return;
        await delay(this.o.pollMs, undefined, { signal }).catch(() => {});
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      await this.open(undefined);
      this.#busy = false;
    }
  }

  /** One batch, or one change of file. False: there is nothing to do now. */
  protected async step(signal: AbortSignal, settled: boolean): Promise<boolean> {
    const file = this.file ?? (await this.find());
    if (!file) return false;
    // Asked before the read: what is written in between is then read, and no line is left behind.
    const rotated = await this.isRotated(file);
    const bytes = await this.read(file);
    if (!bytes) {
      await this.open(undefined);
      return true;
    }
    const atEnd = bytes.length < this.o.batchBytes;
    const quiet = this.#isQuiet(this.place.offset + bytes.length) || settled;
    const lines = this.split(bytes, this.place.offset);
    const last = lines.at(-1)?.end ?? this.place.offset;
    // The last line of a file that nobody writes any more is whole without its end.
    if (rotated && quiet && atEnd && bytes.length > last - this.place.offset) lines.push(this.#rest(bytes, last));
    if (!atEnd && lines.length === 0) lines.push(...(await this.#overlong(file, bytes, rotated && quiet, signal)));
    const events = this.join(lines, !(atEnd && quiet));
    // More lines of one event than are read at once: it is taken in parts.
    const batch = (events.length > 0 || atEnd ? events : lines).slice(0, this.o.batchEvents);
    const end = batch.at(-1)?.end;
    if (end !== undefined) {
      const place = await this.#placeAt(end, bytes, file);
      await this.deliver(this.#events(batch, place), place, signal);
      return true;
    }
    return rotated && quiet && atEnd && lines.length === 0 ? this.turn(file) : false;
  }

  /** The order that loses nothing: first the sink has them, then the place is noted. */
  protected async deliver(events: readonly LogEvent[], place: Place, signal: AbortSignal): Promise<void> {
    if (events.length > 0) await this.o.sink.send(events, signal);
    await this.save(place);
    this.place = place;
  }

  protected split(bytes: Buffer, offset: number): Line[] {
    return splitLines(bytes, offset);
  }

  protected join(lines: readonly Line[], more: boolean): Line[] {
    return joinLines(lines, more);
  }

  /** From where the event lies, not from chance or time: who ships again after a crash gives the same id. */
  protected idOf(line: Line, place: Place): string {
    const at = [this.o.host, this.o.path, place.head, place.generation, line.start, line.end];
    return createHash('sha256').update(at.join('\0')).digest('base64url').slice(0, 22);
  }

  #events(lines: readonly Line[], place: Place): LogEvent[] {
    const { host, path: source, maxEventBytes, acceptDays } = this.o;
    const now = Date.now();
    return lines
      .filter(({ text }) => text.trim() !== '')
      .map((line) => {
        const bytes = Buffer.from(line.text);
        const cut = bytes.length > maxEventBytes || line.end - line.start > this.o.batchBytes;
        // As a stream: half a character at the cut is left out.
        const text = cut ? new TextDecoder().decode(bytes.subarray(0, maxEventBytes), { stream: true }) : line.text;
        const document = parseEvent(text, { host, source, offset: line.start, cut }, now, acceptDays);
        return { id: this.idOf(line, place), document };
      });
  }

  #rest(bytes: Buffer, start: number): Line {
    const { offset } = this.place;
    return { start, end: offset + bytes.length, text: bytes.toString('utf8', start - offset) };
  }

  /** The place behind a batch: by the bytes that were read, for the file can be truncated by now. */
  async #placeAt(offset: number, bytes: Buffer, file: FileHandle): Promise<Place> {
    const { before = [] } = this.place;
    const head = this.place.head || headOf(bytes);
    const known = before.find(([each]) => each === head);
    const generation = this.place.head ? this.place.generation : known ? known[1] + 1 : 0;
    const length = offset - this.place.offset;
    const tail =
      length > bytes.length
        ? await tailOf(file, offset)
        : Buffer.concat([Buffer.from(this.place.tail, 'base64'), bytes.subarray(0, length)]).subarray(-TAIL_BYTES);
    return { head, generation, offset, tail: tail.toString('base64'), before };
  }

  /** A line that is longer than what is read at once: its beginning, once its end is there, or will never be. */
  async #overlong(file: FileHandle, bytes: Buffer, complete: boolean, signal: AbortSignal): Promise<Line[]> {
    const { offset } = this.place;
    const text = bytes.toString('utf8', 0, this.o.maxEventBytes);
    const more = Buffer.allocUnsafe(65_536);
    for (let from = offset + bytes.length; ; ) {
      signal.throwIfAborted();
      const { bytesRead } = await file.read(more, 0, more.length, from);
      const at = more.subarray(0, bytesRead).indexOf(0x0a);
      if (at >= 0) return [{ start: offset, end: from + at + 1, text }];
      if (bytesRead === 0) return complete ? [{ start: offset, end: from, text }] : [];
      from += bytesRead;
    }
  }

  #isQuiet(size: number): boolean {
    if (size !== this.#size) [this.#size, this.#since] = [size, performance.now()];
    return performance.now() - this.#since >= this.o.settleMs;
  }

  /**
   * What stands behind the place; undefined when the file is no longer what it was. Each read begins a little before
   * the place, and the bytes there must be the ones that were there: a file that was truncated and has grown beyond the
   * place looks, by its size, as if nothing had happened.
   */
  protected async read(file: FileHandle): Promise<Buffer | undefined> {
    const tail = Buffer.from(this.place.tail, 'base64');
    const { bytesRead } = await file.read(
      this.#buffer,
      0,
      tail.length + this.o.batchBytes,
      this.place.offset - tail.length,
    );
    const bytes = this.#buffer.subarray(0, bytesRead);
    return bytes.subarray(0, tail.length).equals(tail) ? bytes.subarray(tail.length) : undefined;
  }

  /** True when another file has the log's name: this one was renamed, or is the copy of one that was truncated. */
  protected async isRotated(file: FileHandle): Promise<boolean> {
    const [live, ours] = await Promise.all([statOf(this.o.path), file.stat()]);
    return live !== undefined && (live.ino !== ours.ino || live.dev !== ours.dev);
  }

  /** Leaves a file that is read to its end: for the one that was written next, in the end for the log itself. */
  protected async turn(file: FileHandle): Promise<boolean> {
    const { ino, mtimeMs } = await file.stat();
    const live = await statOf(this.o.path);
    const [next] = (await this.rotatedFiles()).filter((each) => each.ino !== ino && each.mtimeMs > mtimeMs);
    const opened = await this.open(next?.path ?? this.o.path);
    // Renamed in between: the one that has the name now is not the next one.
    if (opened && (await opened.stat()).ino === (next ?? live)?.ino) this.startAnew();
    else await this.open(undefined);
    return true;
  }

  /** The file that the place is in, under whatever name. */
  protected async find(): Promise<FileHandle | undefined> {
    const { path, onGap } = this.o;
    if (this.place.head === '') return this.open(path);
    const rotated = await this.rotatedFiles();
    for (const candidate of [path, ...rotated.map((each) => each.path).reverse()]) {
      const file = await this.open(candidate);
      if (file && (await this.holds(file))) return file;
    }
    const live = await this.open(path);
    if (!live) return undefined;
    onGap?.({ path, offset: this.place.offset });
    this.startAnew();
    return live;
  }

  /** Whether the place is in this file. */
  protected async holds(file: FileHandle): Promise<boolean> {
    return (await headIn(file)) === this.place.head && (await this.read(file)) !== undefined;
  }

  protected startAnew(): void {
    const { head, generation, before = [] } = this.place;
    const others = before.filter(([each]) => each !== head);
    this.place = { ...START, before: head ? [...others, [head, generation] as const].slice(-MOST_BEFORE) : before };
    this.#size = -1;
  }

  /** Rotated files beside the log, by the time of their last line: `shop.log.1`, `shop.log-20261129`. */
  protected async rotatedFiles(): Promise<{ readonly path: string; readonly ino: number; readonly mtimeMs: number }[]> {
    const [folder, name] = [dirname(this.o.path), basename(this.o.path)];
    const names = (await listOf(folder)).filter(
      (each) => each.startsWith(name) && ROTATED.test(each.slice(name.length)),
    );
    const found = await Promise.all(
      names.map(async (each) => {
        const path = join(folder, each);
        const known = await statOf(path);
        return known?.isFile() ? [{ path, ino: known.ino, mtimeMs: known.mtimeMs }] : [];
      }),
    );
    return found.flat().sort((a, b) => a.mtimeMs - b.mtimeMs);
  }

  /** Changes to another file, or to none. */
  protected async open(path: string | undefined): Promise<FileHandle | undefined> {
    await this.file?.close();
    this.file = undefined;
    if (path === undefined) return undefined;
    try {
      // Not waiting for who writes into it, if it is a pipe.
      this.file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
      if (!(await this.file.stat()).isFile()) throw new Error('it is no file');
      return this.file;
    } catch (cause) {
      if (isMissing(cause)) return undefined;
      throw new LogFileError(`${path} can't be read: ${reasonOf(cause)}.`, { cause });
    }
  }

  /** @throws OffsetFileError when there is something else in the file */
  protected async load(): Promise<Place> {
    const path = this.o.offsetPath;
    try {
      const place: unknown = JSON.parse(await readFile(path, 'utf8'));
      if (isPlace(place)) return place;
    } catch (cause) {
      if (isMissing(cause)) return START;
      if (!(cause instanceof SyntaxError))
        throw new LogFileError(`${path} can't be read: ${reasonOf(cause)}.`, { cause });
    }
    throw new OffsetFileError(
      `${path} holds no offset. Put the right file there, or delete it: the log is then shipped from its beginning.`,
    );
  }

  /** Whole or not at all: whoever dies here finds the old place or the new one. */
  protected async save(place: Place): Promise<void> {
    const { offsetPath } = this.o;
    // A name of its own: another shipper, which is on its way out, may write just now.
    const aside = `${offsetPath}.${randomUUID()}.new`;
    try {
      await using file = await open(aside, 'w');
      await file.writeFile(JSON.stringify(place));
      await file.sync();
      await rename(aside, offsetPath);
    } catch (cause) {
      await rm(aside, { force: true }).catch(() => {});
      throw new LogFileError(`${offsetPath} can't be written: ${reasonOf(cause)}.`, { cause });
    }
  }
}

/** Packed ones can't be read on: let the rotation wait a day with it (logrotate: `delaycompress`). */
const ROTATED = /^[.-]\d[\d.-]*$/;

function headOf(bytes: Buffer): string {
  const most = bytes.subarray(0, HEAD_BYTES);
  const line = most.subarray(0, most.indexOf(0x0a) + 1 || HEAD_BYTES);
  return createHash('sha256').update(line).digest('base64url').slice(0, 22);
}

async function headIn(file: FileHandle): Promise<string> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
  return headOf(buffer.subarray(0, bytesRead));
}

async function tailOf(file: FileHandle, end: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(TAIL_BYTES), 0, TAIL_BYTES, end - TAIL_BYTES);
  return buffer.subarray(0, bytesRead);
}

/** Nothing is there, or nothing can be seen: only the first one means that no file was rotated. */
async function listOf(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (cause) {
    if (isMissing(cause)) return [];
    throw new LogFileError(`${folder} can't be listed: ${reasonOf(cause)}.`, { cause });
  }
}

async function statOf(path: string) {
  try {
    return await stat(path);
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw new LogFileError(`${path} can't be seen: ${reasonOf(cause)}.`, { cause });
  }
}

const isMissing = (error: unknown) => error instanceof Error && 'code' in error && error.code === 'ENOENT';

function isPlace(value: unknown): value is Place {
  if (typeof value !== 'object' || value === null) return false;
  const { head, generation, offset, tail, before } = { ...START, head: 0, before: [], ...value };
  const isPair = (each: unknown) => Array.isArray(each) && typeof each[0] === 'string' && isWholeNumber(each[1]);
  const texts = typeof head === 'string' && typeof tail === 'string';
  return texts && isWholeNumber(generation) && isWholeNumber(offset) && Array.isArray(before) && before.every(isPair);
}

const isWholeNumber = (value: unknown) => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
