import { inspect } from 'node:util';
import { context, TraceFlags } from '@opentelemetry/api';
import { ExportResultCode, suppressTracing } from '@opentelemetry/core';
import type { ReadableSpan, SpanExporter, SpanProcessor } from '@opentelemetry/sdk-trace';
import { InvalidArgumentError } from './errors.ts';
import { redact } from './redact.ts';

export interface QueueOptions {
  /** Spans that wait or are being sent, at most. Beyond it the new ones are dropped. Default 2048. */
  readonly maxQueue?: number;
  /** Spans in one request to the collector. Default 512. */
  readonly maxBatch?: number;
  /** Milliseconds that a span waits for others before it is sent. Default 1000. */
  readonly delayMs?: number;
  /** Milliseconds after which a request to the collector counts as failed. Default 5000. */
  readonly exportTimeoutMs?: number;
}

/** Every span that ended is in one of these numbers. */
export interface Counts {
  readonly exported: number;
  /** Not taken, since the queue was full or closed; or not sent by the end of `close`. */
  readonly dropped: number;
  /** Sent, and refused or not answered in time. The exporter has tried as often as it wanted. */
  readonly failed: number;
  /** In the queue, or on its way. */
  readonly waiting: number;
}

/**
 * Spans on their way to the collector. Who ends a span never waits for it: it goes into a queue of bounded length, and a
 * timer sends batches. A collector that is down costs spans, which are counted, and never memory or latency.
 * Spans are sent without what redact() takes out of them.
 */
export class BoundedProcessor implements SpanProcessor {
  readonly #exporter: SpanExporter;
  readonly #limits: Required<QueueOptions>;
  readonly #queue: ReadableSpan[] = [];
  #exported = 0;
  #dropped = 0;
  #failed = 0;
  #sending = 0;
  #giveUp: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Immediate | undefined;
  #drained: Promise<void> | undefined;
  #closed: Promise<void> | undefined;
  /** Who waits until so many have been sent, or failed; the least first. */
  readonly #flushes: { readonly settled: number; readonly done: () => void }[] = [];

  /** @throws InvalidArgumentError on a limit that isn't a whole number above 0. */
  constructor(exporter: SpanExporter, options: QueueOptions = {}) {
    const { maxQueue = 2_048, maxBatch = Math.min(512, maxQueue), delayMs = 1_000, exportTimeoutMs = 5_000 } = options;
    this.#limits = { maxQueue, maxBatch, delayMs, exportTimeoutMs };
    this.#exporter = exporter;
    for (const [name, value] of Object.entries(this.#limits)) {
      if (Number.isInteger(value) && value >= 1 && value < 2 ** 31) continue;
      throw new InvalidArgumentError(`${name} must be a whole number, 1 or more; it is ${inspect(value)}.`);
    }
  }

  get counts(): Counts {
    const waiting = this.#queue.length + this.#sending;
    return { exported: this.#exported, dropped: this.#dropped, failed: this.#failed, waiting };
  }

  onStart(): void {}

  onEnd(span: ReadableSpan): void {
    if ((span.spanContext().traceFlags & TraceFlags.SAMPLED) === 0) return;
    if (this.#closed || this.#queue.length + this.#sending >= this.#limits.maxQueue) {
      this.#dropped++;
      return;
    }
    this.#queue.push(redact(span));
    if (this.#drained) return;
    // Never from here: writing a batch takes longer than what the span was about. And unreferenced: what waits for a
    // collector keeps no process alive.
    if (this.#queue.length >= this.#limits.maxBatch) this.#soon ??= setImmediate(() => void this.#drain()).unref();
    else this.#timer ??= setTimeout(() => void this.#drain(), this.#limits.delayMs).unref();
  }

  /** Sends what waits. Resolves when all of it was sent, or failed, whatever came since. */
  async forceFlush(): Promise<void> {
    if (this.#closed) return this.#closed;
    const { promise, resolve: done } = Promise.withResolvers<void>();
    this.#flushes.push({ settled: this.#exported + this.#failed + this.counts.waiting, done });
    await Promise.race([promise, this.#drain()]);
  }

  /**
   * Takes no more spans, sends what waits for at most `deadlineMs` (default 2000), and counts the rest as dropped.
   * Never rejects. A second call has the outcome of the first.
   */
  shutdown(deadlineMs = 2_000): Promise<void> {
    this.#closed ??= this.#close(deadlineMs);
    return this.#closed;
  }

  async #close(deadlineMs: number): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const alarm = setTimeout(resolve, Math.min(deadlineMs, 2 ** 31 - 1));
    await Promise.race([this.#drain(), late]);
    this.#dropped += this.#queue.splice(0).length;
    // Whose answer hasn't come by now is not waited for, by us or by the event loop.
    this.#giveUp?.();
    await this.#drained;
    await Promise.race([Promise.try(() => this.#exporter.shutdown()).catch(() => {}), late]);
    clearTimeout(alarm);
  }

  /** One at a time: whoever comes while another sends waits for his end. */
  #drain(): Promise<void> {
    // Not at once: an exporter may end spans, or flush, while it is called.
    this.#drained ??= Promise.resolve()
      .then(() => this.#sendAll())
      .finally(() => {
        this.#drained = undefined;
        this.#flushes.length = 0;
      });
    return this.#drained;
  }

  async #sendAll(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    clearImmediate(this.#soon);
    this.#soon = undefined;
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, this.#limits.maxBatch);
      this.#sending = batch.length;
      const sent = await this.#send(batch);
      this.#sending = 0;
      if (sent) this.#exported += batch.length;
      else this.#failed += batch.length;
      const settled = this.#exported + this.#failed;
      while (this.#flushes[0] && this.#flushes[0].settled <= settled) this.#flushes.shift()?.done();
    }
  }

  #send(batch: ReadableSpan[]): Promise<boolean> {
    return new Promise((resolve) => {
      const answer = (sent: boolean) => {
        clearTimeout(alarm);
        resolve(sent);
      };
      this.#giveUp = () => answer(false);
      const alarm = setTimeout(this.#giveUp, this.#limits.exportTimeoutMs);
      // Else the request to the collector would be a span, whose request would be a span…
      context.with(suppressTracing(context.active()), () => {
        // Many an exporter is an async function: its rejection would end the process.
        Promise.try(() =>
          this.#exporter.export(batch, (result) => answer(result?.code === ExportResultCode.SUCCESS)),
        ).catch(this.#giveUp);
      });
    });
  }
}
