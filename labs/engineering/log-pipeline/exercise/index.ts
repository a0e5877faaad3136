import { randomUUID } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import {
  type Clause,
  currentTrace,
  type Dsl,
  type FieldType,
  Logger as GivenLogger,
  Shipper as GivenShipper,
  BulkSink as GivenSink,
  LogStore as GivenStore,
  type LogEvent,
  type Place,
  parseQuery,
  type Verdict,
} from '../src/index.ts';
import type { Line } from '../src/lines.ts';
import { PLAIN } from '../src/query.ts';

// What is not the idea is given, by the classes that yours stand on: options are checked, files are opened, requests are
// sent and repeated, queries are read. The steps that lose or save a line are yours: each method below is one, and some
// have a first version that works until something goes wrong. `h` in `pnpm lab learn log-pipeline` gives a hint. The
// files of src/ hold solutions.
export * from '../src/index.ts';

/** A logger that writes JSON lines, from a buffer of `bufferBytes`. Given: `this.flush()`, which writes what waits. */
export class Logger extends GivenLogger {
  /**
   * Called once by a logger that has a buffer: what is in it must be in the file when the process is told to go by
   * SIGTERM, SIGINT or SIGHUP, and when it exits by itself. The process must still end by its signal.
   */
  protected override hook(): void {}

  /**
   * What a line has besides its level, time, service and message: `trace_id`, `span_id`, and what the caller handed in.
   * The flaw of this version: the caller decides what his fields are called.
   */
  protected override envelope({ fields }: Record<string, unknown>): Record<string, unknown> {
    const trace = currentTrace();
    const shown = this.hide(fields);
    return {
      ...(trace && { trace_id: trace.traceId, span_id: trace.spanId }),
      ...(typeof shown === 'object' ? shown : {}),
    };
  }

  /**
   * A copy of `value` without secrets: of objects, lists, Maps and Errors (their message, stack, cause and whatever hangs
   * on them), at any depth. In the place of a secret stands '[redacted]'. Given: `this.redactor.isSecret(name)`, and
   * `this.redactor.text(text)` for a text.
   */
  protected hide(value: unknown): unknown {
    return value;
  }
}

/** Follows a log and hands its events to a sink, each at least once, under one id. */
export class Shipper extends GivenShipper {
  /**
   * The whole lines in `bytes`, which begin at byte `offset` of the file: their text without the newline (nor the "\r"
   * before it), the offset of their first byte, and the one behind their newline. What comes behind the last newline is
   * left out.
   */
  protected override split(_bytes: Buffer, _offset: number): Line[] {
    return todo('split');
  }

  /**
   * The events in these lines: what continues an event (indented, `Caused by:`) is joined to it with "\n". A line that
   * begins with "{" is whole by itself. While `more` may come, an event at the end that could go on stays out.
   */
  protected override join(lines: readonly Line[], _more: boolean): Line[] {
    return [...lines];
  }

  /** Sends `events`, notes the `place` behind them (`this.save(place)`), and sets `this.place`. In which order? */
  protected override async deliver(_events: readonly LogEvent[], _place: Place, _signal: AbortSignal): Promise<void> {
    todo('deliver');
  }

  /** The id of the event at `line.start` to `line.end`. `place.head` and `place.generation` name the file. */
  protected override idOf(_line: Line, _place: Place): string {
    return randomUUID();
  }

  /**
   * The file that `this.place` is in, whatever its name is by now. Given: `this.open(path)`, which closes the file that it
   * opened before; `this.holds(file)` (is the place in this file?); `this.rotatedFiles()`, each with its `path`; and
   * `this.startAnew()` for when it is in none of them. The flaw of this version: it looks at the name alone.
   */
  protected override async find(): Promise<FileHandle | undefined> {
    const file = await this.open(this.o.path);
    if (file && this.place.head !== '' && !(await this.holds(file))) this.startAnew();
    return file;
  }

  /**
   * At most `this.o.batchBytes` bytes from `this.place.offset`; undefined when the file is no longer what it was.
   * `this.place.tail` has, in base64, the bytes that stood before the offset. The flaw of this version: it looks at the
   * size alone.
   */
  protected override async read(file: FileHandle): Promise<Buffer | undefined> {
    const { offset } = this.place;
    if ((await file.stat()).size < offset) return undefined;
    const { buffer, bytesRead } = await file.read(Buffer.alloc(this.o.batchBytes), 0, this.o.batchBytes, offset);
    return buffer.subarray(0, bytesRead);
  }
}

/** Sends events to `_bulk`. Given: requests, pauses, halves, dead letters. */
export class BulkSink extends GivenSink {
  /**
   * What the answer to one event means: 'indexed', 'repeated' (it was there), 'dead' (never), 'again' (not now). `status`
   * is 0 when the event has no answer. `type` is what OpenSearch calls its error, '' without one; a blocked index says
   * `cluster_block_exception`, with a 403.
   */
  protected override judge(status: number, _type: string, error: unknown) {
    const verdict: Verdict = 'indexed';
    return { verdict, status, reason: error ? JSON.stringify(error).slice(0, 1_000) : '' };
  }

  /** Which of the events are sent once more. `answers` are in their order. */
  protected override remaining(events: readonly LogEvent[], answers: readonly { readonly verdict: Verdict }[]) {
    return answers.some(({ verdict }) => verdict === 'again') ? events : [];
  }
}

/** Daily indices and their search. */
export class LogStore extends GivenStore {
  /** The flaw of this version: what a user types is a program of the index's own language. */
  protected override toDsl(query: string): Dsl {
    parseQuery(query, this.fields);
    return { query_string: { query: query || '*', default_field: 'message', lenient: true } };
  }
}

/**
 * OpenSearch's query for these clauses, all of which must hold. Fields of `PLAIN` lie at the top of a document, all others
 * below `fields`. `fields` has the types of both. A clause of numbers (`op` is not ':') has one value, a text.
 */
export function toDsl(_clauses: readonly Clause[], _fields: ReadonlyMap<string, FieldType>): Dsl {
  void PLAIN;
  return todo('toDsl');
}

function todo(method: string): never {
  throw new Error(`${method} is not written yet: its comment in attempt/index.ts is the task.`);
}
