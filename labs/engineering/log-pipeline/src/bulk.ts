import { open } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@opensearch-project/opensearch';
import {
  assertPlainText,
  assertWhole,
  IndexRefusedError,
  InvalidOptionError,
  LogFileError,
  reasonOf,
} from './errors.ts';
import type { LogEvent } from './event.ts';
import type { Sink } from './shipper.ts';
import { indexOf } from './store.ts';

/** An event that the index will never take. */
export interface DeadLetter {
  readonly id: string;
  readonly index: string;
  readonly status: number;
  readonly reason: string;
  readonly document: LogEvent['document'];
}

/** What became of one event. `again`: not now. */
export type Verdict = 'indexed' | 'repeated' | 'dead' | 'again';

export interface BulkReport {
  readonly indexed: number;
  /** Were in the index already: sent before by somebody who died before he could note it. */
  readonly repeated: number;
  readonly dead: number;
  /** Requests that it took. */
  readonly requests: number;
}

export interface BulkOptions {
  /** Prefix of the daily indices. */
  readonly prefix: string;
  /** A file of JSON lines for what the index refuses for good. Read it: a line there is a bug of somebody's. */
  readonly deadLetterPath: string;
  /** Milliseconds of the first pause, doubled up to `mostPauseMs`, half of it by chance. Default 100. */
  readonly pauseMs?: number;
  /** Default 10,000. */
  readonly mostPauseMs?: number;
  /** Milliseconds for one request. Default 30,000. */
  readonly timeoutMs?: number;
}

interface Answer {
  readonly verdict: Verdict;
  readonly status: number;
  readonly reason: string;
}

/** Sends events to OpenSearch's `_bulk`, whose answer is one verdict for each of them and not one for all. */
export class BulkSink implements Sink {
  protected readonly client: Client;
  protected readonly o: Required<BulkOptions>;

  /** @throws InvalidOptionError */
  constructor(client: Client, options: BulkOptions) {
    this.client = client;
    this.o = { pauseMs: 100, mostPauseMs: 10_000, timeoutMs: 30_000, ...options };
    assertPlainText('deadLetterPath', this.o.deadLetterPath);
    indexOf(this.o.prefix, new Date().toISOString());
    assertWhole('pauseMs', this.o.pauseMs, 1, 60_000);
    assertWhole('mostPauseMs', this.o.mostPauseMs, this.o.pauseMs, 600_000);
    assertWhole('timeoutMs', this.o.timeoutMs, 1, 600_000);
  }

  /**
   * Resolves when each event is in the index or among the dead letters. As long as the index is away, full or blocked
   * it waits and asks again, only for the events that were refused: the pressure goes back to the file. A `retry-after`
   * is not read.
   * @throws IndexRefusedError (401, 403, …), LogFileError when a dead letter can't be kept, InvalidOptionError on an event
   * that is no JSON, the signal's reason
   */
  async send(events: readonly LogEvent[], signal: AbortSignal): Promise<BulkReport> {
    const count = { indexed: 0, repeated: 0, dead: 0, again: 0, requests: 0 };
    let waiting = events;
    for (let attempt = 0; waiting.length > 0; attempt++) {
      signal.throwIfAborted();
      const answers = await this.ask(waiting, signal, () => count.requests++);
      const dead: DeadLetter[] = [];
      for (const [index, { id, document }] of waiting.entries()) {
        const answer = answers[index] ?? UNHEARD;
        count[answer.verdict]++;
        if (answer.verdict !== 'dead') continue;
        const { status, reason } = answer;
        dead.push({ id, index: indexOf(this.o.prefix, document['@timestamp']), status, reason, document });
      }
      if (dead.length > 0) await this.bury(dead);
      waiting = this.remaining(waiting, answers);
      if (waiting.length > 0) await this.#pause(attempt, signal);
    }
    const { again: _, ...report } = count;
    return report;
  }

  /** What is sent once more. */
  protected remaining(events: readonly LogEvent[], answers: readonly Answer[]): readonly LogEvent[] {
    return events.filter((_, index) => (answers[index] ?? UNHEARD).verdict === 'again');
  }

  /** One answer for each event. */
  protected async ask(events: readonly LogEvent[], signal: AbortSignal, asked: () => void): Promise<readonly Answer[]> {
    asked();
    const { prefix, timeoutMs } = this.o;
    // `create`, not `index`: who sends an event again changes nothing, and is told so.
    const body = events.flatMap(({ id, document }) => [
      { create: { _index: indexOf(prefix, document['@timestamp']), _id: id } },
      document,
    ]);
    const request = this.client.bulk({ body }, { maxRetries: 0, requestTimeout: timeoutMs });
    // Not returned: Node takes a listener's promise for its own, and this one rejects.
    const abort = () => void request.abort();
    signal.addEventListener('abort', abort);
    try {
      const { body: answer, statusCode } = await request;
      // Sent elsewhere, to log in, say: the client takes it for an answer.
      if (statusCode && statusCode >= 300) throw new IndexRefusedError(statusCode, 'a redirection');
      return answer.items.map(({ create }) =>
        this.judge(create?.status ?? 0, create?.error?.type ?? '', create?.error),
      );
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof IndexRefusedError) throw error;
      // The client is the caller's, and so is the class of its errors.
      if (error instanceof Error && error.name === 'SerializationError') {
        throw new InvalidOptionError(`An event can't be written as JSON: ${error.message}.`, { cause: error });
      }
      const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) || 0 : 0;
      if (status === 413 || (status === 400 && isOpenSearch(error)))
        return this.#halves(events, status, error, signal, asked);
      if (status > 0 && status < 500 && status !== 429 && status !== 408) throw new IndexRefusedError(status, error);
      return events.map(() => UNHEARD);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  /** What is right for one line: 409 is a success, 429 a pause, and 400 stays 400 however often it is asked. */
  protected judge(status: number, type: string, error: unknown): Answer {
    const verdict =
      status >= 200 && status < 300
        ? 'indexed'
        : status === 409
          ? 'repeated'
          : status === 429 || status >= 500 || status === 0 || NOT_NOW.has(type)
            ? 'again'
            : 'dead';
    return { verdict, status, reason: error ? JSON.stringify(error).slice(0, 1_000) : '' };
  }

  /** Refused as a whole, for its size or for something in it: the halves are asked for, down to the one that is to blame. */
  async #halves(
    events: readonly LogEvent[],
    status: number,
    error: unknown,
    signal: AbortSignal,
    asked: () => void,
  ): Promise<readonly Answer[]> {
    if (events.length === 1) return [{ verdict: 'dead', status, reason: reasonOf(error).slice(0, 1_000) }];
    const middle = Math.ceil(events.length / 2);
    const first = await this.ask(events.slice(0, middle), signal, asked);
    return [...first, ...(await this.ask(events.slice(middle), signal, asked))];
  }

  /** On the disk before the offset goes on. */
  protected async bury(letters: readonly DeadLetter[]): Promise<void> {
    const { deadLetterPath } = this.o;
    try {
      await using file = await open(deadLetterPath, 'a');
      await file.writeFile(letters.map((letter) => `${JSON.stringify(letter)}\n`).join(''));
      await file.sync();
    } catch (cause) {
      throw new LogFileError(`${deadLetterPath} can't be written: ${reasonOf(cause)}.`, { cause });
    }
  }

  async #pause(attempt: number, signal: AbortSignal): Promise<void> {
    const most = Math.min(this.o.mostPauseMs, this.o.pauseMs * 2 ** Math.min(attempt, 20));
    await delay((most * (1 + Math.random())) / 2, undefined, { signal });
  }
}

/** An operator's doing, and not the line's fault: blocked for a full disk, closed, not made yet. */
const NOT_NOW = new Set(['cluster_block_exception', 'index_closed_exception', 'index_not_found_exception']);

const UNHEARD: Answer = { verdict: 'again', status: 0, reason: 'no answer' };

/** A 400 of a proxy, or of a port that speaks TLS, is about the address: no line of it is to blame. */
const isOpenSearch = (error: unknown) =>
  error instanceof Error &&
  'body' in error &&
  typeof error.body === 'object' &&
  error.body !== null &&
  'error' in error.body;
