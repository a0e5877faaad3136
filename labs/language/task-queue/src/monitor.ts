import { type BullQueue, Events } from './result.ts';
import { closeConnected } from './worker.ts';

export interface Snapshot {
  /** Tasks by state, now. */
  readonly counts: Readonly<Record<string, number>>;
  /** Since the monitor was opened. */
  readonly completed: number;
  readonly failed: number;
  /** Tasks that lost their worker: killed, or stood still for too long. */
  readonly stalled: number;
  /** Milliseconds from being ready to run until a worker took it; after a countdown, from the moment when it was due. */
  readonly waitMs: Percentiles;
  /** Milliseconds from being taken until it completed. */
  readonly runMs: Percentiles;
}

export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
}

/** How many of the latest durations are kept. */
const WINDOW = 1_000;

/** Watches a queue by its events alone: no task and no worker knows of it. */
export class Monitor {
  readonly #queue: BullQueue;
  readonly #events: Events;
  readonly #since = new Map<string, number>();
  readonly #waits: number[] = [];
  readonly #runs: number[] = [];
  #completed = 0;
  #failed = 0;
  #stalled = 0;

  constructor(queue: BullQueue) {
    this.#queue = queue;
    this.#events = new Events(queue.name, {
      connection: queue.opts.connection,
      prefix: queue.opts.prefix ?? 'bull',
    });
    // An event's id begins with the time at which Redis has written it: one clock for all machines, but that of countdowns.
    this.#events.on('delayed', ({ jobId, delay }) => void this.#since.set(jobId, delay));
    // BullMQ moves what is due when a worker asks for its next task: it has waited since then.
    this.#events.on('waiting', ({ jobId, prev }, event) => {
      const due = prev === 'delayed' ? this.#since.get(jobId) : undefined;
      this.#since.set(jobId, Math.min(at(event), due ?? at(event)));
    });
    this.#events.on('active', ({ jobId }, event) => this.#lap(jobId, event, this.#waits));
    this.#events.on('stalled', () => void this.#stalled++);
    this.#events.on('completed', ({ jobId }, event) => {
      this.#completed += 1;
      this.#lap(jobId, event, this.#runs);
      this.#since.delete(jobId);
    });
    this.#events.on('failed', ({ jobId }) => {
      this.#failed += 1;
      this.#since.delete(jobId);
    });
    this.#events.on('removed', ({ jobId }) => void this.#since.delete(jobId));
  }

  /** Resolves when it hears what happens from now on. */
  async ready(): Promise<this> {
    await this.#events.waitUntilReady();
    return this;
  }

  async snapshot(): Promise<Snapshot> {
    return {
      counts: await this.#queue.getJobCounts(),
      completed: this.#completed,
      failed: this.#failed,
      stalled: this.#stalled,
      waitMs: percentiles(this.#waits),
      runMs: percentiles(this.#runs),
    };
  }

  /** The counts by state, in the text format that Prometheus reads. */
  prometheus(): Promise<string> {
    return this.#queue.exportPrometheusMetrics();
  }

  close(): Promise<void> {
    return closeConnected(this.#events);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #lap(id: string, event: string, durations: number[]): void {
    const since = this.#since.get(id);
    if (since !== undefined) durations.push(at(event) - since);
    if (durations.length > WINDOW) durations.shift();
    this.#since.set(id, at(event));
  }
}

const at = (event: string) => Number.parseInt(event, 10);

function percentiles(values: readonly number[]): Percentiles {
  const sorted = values.toSorted((a, b) => a - b);
  const rank = (share: number) => sorted[Math.ceil(sorted.length * share) - 1] ?? Number.NaN;
  return { p50: rank(0.5), p99: rank(0.99) };
}
