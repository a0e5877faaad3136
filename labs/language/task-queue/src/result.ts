import { type Job, type Queue, QueueEvents, type QueueEventsOptions } from 'bullmq';
import {
  HardTimeLimitError,
  InvalidArgumentError,
  ResultTimeoutError,
  TaskExpiredError,
  TaskFailedError,
  TaskRevokedError,
  UnknownTaskError,
} from './errors.ts';
import type { Envelope, Json } from './tasks.ts';

export type TaskState = Awaited<ReturnType<Queue['getJobState']>>;
export type BullQueue = Queue<Envelope, Json, string, Envelope, Json, string>;
export type BullJob = Job<Envelope, Json, string>;

/** Events may be lost while the connection is: look for yourself after so many milliseconds. */
const LOOK_AGAIN_MS = 1_000;
const LAST_EVENT = "return (redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1] or { '0-0' })[1]";
const CHILD_FAILED = /^child .+:([^:]+) failed$/s;

/** What an event has told: the result itself, why there is none, that it is gone, or merely that it is time to look. */
type News = { readonly value: unknown } | { readonly failed: string } | 'removed' | 'look';

const told = (id: string, name: string | undefined, reason: string): TaskFailedError => {
  const special = [TaskExpiredError, TaskRevokedError, HardTimeLimitError].find((each) => each.reason === reason);
  return new (special ?? TaskFailedError)(id, name, reason);
};

/**
 * Hears all that happens once it is ready. BullMQ's own is ready before it asks what comes from now on, and never hears of
 * what happens in between.
 */
export class Events extends QueueEvents {
  readonly #placed: Promise<unknown>;

  constructor(name: string, options: QueueEventsOptions) {
    super(name, { ...options, autorun: false });
    // Where Redis gives no place, it hears from when it asks.
    this.#placed = this.#place().catch(() => {});
    this.#placed.then(() => this.closing ?? this.run()).catch((error) => this.emit('error', error));
  }

  override async waitUntilReady(): Promise<void> {
    await super.waitUntilReady();
    await this.#placed;
  }

  async #place(): Promise<void> {
    const client = await this.backend.client;
    client.defineCommand('lastEvent', { numberOfKeys: 1, lua: LAST_EVENT });
    const lastEventId = await client.runCommand('lastEvent', [this.toKey('events')]);
    Object.assign(this.opts, { lastEventId });
  }
}

/** Tells of results as they come in. One blocking connection, whatever the number of those who wait. */
export class ResultFeed {
  readonly #waiting = new Map<string, Set<(news: News) => void>>();

  constructor(events: QueueEvents) {
    const tell = (id: string, news: News) => {
      for (const resolve of this.#waiting.get(id) ?? []) resolve(news);
    };
    events.on('completed', ({ jobId, returnvalue }) => tell(jobId, { value: returnvalue }));
    events.on('failed', ({ jobId, failedReason }) => tell(jobId, { failed: failedReason }));
    events.on('removed', ({ jobId }) => tell(jobId, 'removed'));
  }

  /** Resolves when something happens to the task `id`, and after `ms` at the latest. */
  news(id: string, ms: number): { arrived: Promise<News>; ignore: () => void } {
    const { promise, resolve } = Promise.withResolvers<News>();
    const timer = setTimeout(resolve, ms, 'look');
    const listeners = this.#waiting.get(id) ?? new Set();
    this.#waiting.set(id, listeners.add(resolve));
    const ignore = () => {
      clearTimeout(timer);
      listeners.delete(resolve);
      if (listeners.size === 0) this.#waiting.delete(id);
    };
    return { arrived: promise, ignore };
  }
}

/** A claim ticket: it can be shown from any process that knows the id. */
export class AsyncResult<R> {
  readonly id: string;
  readonly #queue: BullQueue;
  readonly #feed: () => Promise<ResultFeed>;

  constructor(id: string, queue: BullQueue, feed: () => Promise<ResultFeed>) {
    this.id = id;
    this.#queue = queue;
    this.#feed = feed;
  }

  /**
   * Waits for the result, `timeoutMs` milliseconds at most (default 30 000). Never call it inside a task: a worker that
   * waits for workers ends in a deadlock; chain the tasks.
   *
   * @throws TaskFailedError when it failed for good; TaskExpiredError, TaskRevokedError or HardTimeLimitError when that
   *   is why.
   * @throws ResultTimeoutError when there is none in time: the task goes on. A second later where Redis doesn't answer.
   * @throws UnknownTaskError when nobody knows the id (any more); InvalidArgumentError when `timeoutMs` is NaN.
   */
  async get(timeoutMs = 30_000): Promise<R> {
    if (Number.isNaN(timeoutMs)) throw new InvalidArgumentError('timeoutMs must be a number; it is NaN.');
    // Commands wait for a lost Redis to come back, however long: who asks does not.
    const { promise: late, reject } = Promise.withResolvers<never>();
    const giveUp = () => reject(new ResultTimeoutError(`Task ${this.id}: no answer from Redis in ${timeoutMs} ms.`));
    const ms = timeoutMs + LOOK_AGAIN_MS;
    const timer = ms < 2 ** 31 ? setTimeout(giveUp, ms) : undefined;
    try {
      return await Promise.race([this.#wait(timeoutMs), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #wait(timeoutMs: number): Promise<R> {
    const deadline = performance.now() + timeoutMs;
    let failed: string | undefined;
    let removed = false;
    let gone = false;
    for (let seen = false; ; seen = true) {
      // Each time: it may have been closed.
      const feed = await this.#feed();
      const left = deadline - performance.now();
      // Listen first, then look: what happens in between is in one of them.
      const { arrived, ignore } = feed.news(this.id, Math.max(0, Math.min(left, LOOK_AGAIN_MS)));
      try {
        // The compiler has checked results where their task was declared; here they come back from Redis.
        const { end, value } = await this.#look();
        if (end === 'completed') return value as R;
        if (end === 'failed') throw await this.#failure();
        if (end === 'unknown') {
          if (failed !== undefined) throw told(this.id, undefined, failed);
          if (removed) throw new TaskRevokedError(this.id, undefined, TaskRevokedError.reason);
          if (!seen || gone)
            throw new UnknownTaskError(`No task ${this.id} in ${this.#queue.name}: is its result kept?`);
          // Where its end is not kept, the event that tells of it may be under way.
          gone = true;
        }
        if (left <= 0) throw new ResultTimeoutError(`Task ${this.id} has no result after ${timeoutMs} ms.`);
        const news = await arrived;
        if (news === 'removed') removed = true;
        else if (news !== 'look' && 'value' in news) return news.value as R;
        else if (news !== 'look') failed = news.failed;
      } finally {
        ignore();
      }
    }
  }

  state(): Promise<TaskState> {
    return this.#queue.getJobState(this.id);
  }

  /** The percentage that the task reported last; 0 before it has. */
  async progress(): Promise<number> {
    const job = await this.#queue.getJob(this.id);
    return typeof job?.progress === 'number' ? job.progress : 0;
  }

  /** `failedReason` alone doesn't tell: a task that came through after a retry still has it. */
  async #look(): Promise<{ end: 'completed' | 'failed' | 'unknown' | undefined; value?: unknown }> {
    const finished = await this.#queue.backend.isFinished(this.id, true);
    const [status, result] = typeof finished === 'number' ? [finished, undefined] : finished;
    if (status === 1) return { end: 'completed', value: result === undefined ? null : JSON.parse(result) };
    return { end: status === 2 ? 'failed' : status === 0 ? undefined : 'unknown' };
  }

  async #failure(): Promise<Error> {
    const job = await this.#queue.getJob(this.id);
    if (!job) return new UnknownTaskError(`Task ${this.id} has failed, and its failure was removed a moment ago.`);
    const { id = this.id, name, failedReason } = await this.#culprit(job);
    return told(id, name, failedReason);
  }

  /** In a chain or a chord: the task that failed, not the one that waited for it. */
  async #culprit(job: BullJob): Promise<BullJob> {
    const [, child] = CHILD_FAILED.exec(job.failedReason) ?? [];
    const failed = child === undefined ? undefined : await this.#queue.getJob(child);
    // A task may fail by the same words, of its own id or of another's.
    return failed && failed.parent?.id === job.id ? this.#culprit(failed) : job;
  }
}

/** The tickets of a group. */
export class GroupResult<T extends unknown[]> {
  readonly parts: { readonly [I in keyof T]: AsyncResult<T[I]> };

  constructor(parts: { readonly [I in keyof T]: AsyncResult<T[I]> }) {
    this.parts = parts;
  }

  /** All results, in the order of the signatures. Waits and throws as `AsyncResult.get`. */
  get(timeoutMs?: number): Promise<T> {
    const all: Promise<unknown>[] = this.parts.map((part) => part.get(timeoutMs));
    return Promise.all(all) as Promise<T>;
  }
}
