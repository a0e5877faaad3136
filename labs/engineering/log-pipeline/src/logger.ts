import { hostname } from 'node:os';
import { pino } from 'pino';
import { assertPlainText, assertWhole, InvalidOptionError } from './errors.ts';
import { LineFile } from './line-file.ts';
import { Redactor } from './redact.ts';
import { currentTrace } from './trace.ts';

export type Level = 'debug' | 'info' | 'warn' | 'error' | 'fatal';
export type Fields = Readonly<Record<string, unknown>>;
export const LEVELS: readonly Level[] = ['debug', 'info', 'warn', 'error', 'fatal'];

export interface LoggerOptions {
  /** The file, made when it is missing; its folder must be there. */
  readonly path: string;
  /** Which program writes. */
  readonly service: string;
  /** The least level that is written. Default `info`. */
  readonly level?: Level;
  /**
   * Bytes that may wait in the process, 0 to 16,000. Default 0: a line is with the kernel when the call returns, and
   * survives a `kill -9`. With a buffer a signal, an exception and an exit write it; a `kill -9` costs what it holds.
   */
  readonly bufferBytes?: number;
  /** Names of fields to hide, besides those that `Redactor` knows. */
  readonly secrets?: readonly string[];
}

const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
const FLUSH_EVERY_MS = 1_000;

/** Writes events as lines of JSON. No call of it throws once it is made: a log that fails must not take the shop along. */
export class Logger implements Disposable {
  protected readonly redactor: Redactor;
  protected readonly file: LineFile;
  readonly #pino: pino.Logger;
  readonly #hooks = new Map<NodeJS.Signals | 'exit', () => void>();
  readonly #timer: NodeJS.Timeout | undefined;

  /** @throws InvalidOptionError; LogFileError when the file can't be opened. */
  constructor({ path, service, level = 'info', bufferBytes = 0, secrets = [] }: LoggerOptions) {
    assertPlainText('path', path);
    assertPlainText('service', service);
    assertWhole('bufferBytes', bufferBytes, 0, 16_000);
    if (!LEVELS.includes(level)) throw new InvalidOptionError(`level is one of ${LEVELS.join(', ')}.`);
    this.redactor = new Redactor(secrets);
    this.file = new LineFile(path, bufferBytes);
    this.#pino = pino(
      {
        level,
        base: { service, host: hostname(), pid: process.pid },
        messageKey: 'message',
        timestamp: () => `,"time":"${new Date().toISOString()}"`,
        formatters: { level: (label) => ({ level: label }), log: (fields) => this.envelope(fields) },
      },
      this.file,
    );
    if (bufferBytes === 0) return;
    this.hook();
    this.#timer = setInterval(() => this.flush(), FLUSH_EVERY_MS).unref();
  }

  debug(message: string, fields?: Fields): void {
    this.log('debug', message, fields);
  }
  info(message: string, fields?: Fields): void {
    this.log('info', message, fields);
  }
  warn(message: string, fields?: Fields): void {
    this.log('warn', message, fields);
  }
  error(message: string, fields?: Fields): void {
    this.log('error', message, fields);
  }
  fatal(message: string, fields?: Fields): void {
    this.log('fatal', message, fields);
  }

  protected log(level: Level, message: string, fields: Fields = {}): void {
    const text = this.redactor.value(message);
    this.#pino[level]({ fields }, typeof text === 'string' ? text : `${JSON.stringify(text)}`);
  }

  /** What a caller hands in lies under `fields`: nothing of it can pass for the level, the time or the trace. */
  protected envelope({ fields }: Record<string, unknown>): Record<string, unknown> {
    const trace = currentTrace();
    const safe = this.redactor.value(fields);
    const empty = typeof safe === 'object' ? Object.keys(safe ?? {}).length === 0 : safe === undefined;
    return {
      ...(trace && { trace_id: trace.traceId, span_id: trace.spanId }),
      ...(!empty && { fields: safe }),
    };
  }

  /** Lines that are lost: the disk was full for too long, or the logger was closed. */
  get dropped(): number {
    return this.file.dropped;
  }

  /** Writes what waits. */
  flush(): void {
    this.file.flush();
  }

  /**
   * Goes on in a new file of the old name, after a rotation by renaming: usually on SIGHUP. False: there can't be one,
   * and it goes on in the old one.
   */
  reopen(): boolean {
    return this.file.reopen();
  }

  /** Writes what waits and lets go of the file; what is logged afterwards is dropped. */
  close(): void {
    clearInterval(this.#timer);
    for (const [event, listener] of this.#hooks) process.off(event, listener);
    this.file.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** The buffer is written however the process ends, `kill -9` excepted. */
  protected hook(): void {
    // What a listener behind this one still logs can't wait any more.
    const written = () => this.file.unbuffer();
    process.on('exit', written);
    this.#own('exit', written);
    for (const signal of SIGNALS) {
      const listener = () => {
        this.flush();
        // Our listener took the place of the signal's effect. Whoever has one of his own decides when the process ends.
        if (process.listeners(signal).some((it) => !owned.has(it))) return;
        process.off(signal, listener);
        // The last logger that has written gives the signal its effect.
        if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
      };
      // The first: a listener of somebody's `once` is gone before the next one can see that it was there.
      process.prependListener(signal, listener);
      this.#own(signal, listener);
    }
  }

  #own(event: NodeJS.Signals | 'exit', listener: () => void): void {
    owned.add(listener);
    this.#hooks.set(event, listener);
  }
}

/** Listeners of all loggers of this process. */
const owned = new WeakSet<object>();
