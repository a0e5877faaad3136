import type { Job, Queue, QueueEvents } from 'bullmq';
import { ResultTimeoutError, TaskExpiredError, TaskFailedError, TaskRevokedError, UnknownTaskError } from './errors.ts';
import type { Envelope, Json } from './tasks.ts';

export type TaskState = Awaited<ReturnType<Queue['getJobState']>>;
export type BullQueue = Queue<Envelope, Json, string, Envelope, Json, string>;
export type BullJob = Job<Envelope, Json, string>;

/** Events may be lost while the connection is: look for yourself after so many milliseconds. */
const LOOK_AGAIN_MS = 1_000;
const CHILD_FAILED = /^child \S+:(\S+) failed$/;

/** Tells of results as they come in. One blocking connection, whatever the number of those who wait. */
export class ResultFeed {
  readonly #waiting = new Map<string, Set<() => void>>();

  constructor(events: QueueEvents) {
    const wake = ({ jobId }: { jobId: string }) => {
      for (const resolve of this.#waiting.get(jobId) ?? []) resolve();
    };
    events.on('completed', wake).on('failed', wake).on('removed', wake);
  }

  /** Resolves when something happens to the task `id`, and after `ms` at the latest. */
  news(id: string, ms: number): { arrived: Promise<void>; ignore: () => void } {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    const listeners = this.#waiting.get(id) ?? new Set();
    this.#waiting.set(id, listeners.add(resolve));
    const ignore = () => {
      clearTimeout(timer);
      listeners.delete(resolve);
      if (listeners.size === 0) this.#waiting.delete(id);
      resolve();
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
   * @throws TaskFailedError when it failed for good; TaskExpiredError or TaskRevokedError when that is why.
   * @throws ResultTimeoutError when there is none in time: the task goes on.
   * @throws UnknownTaskError when nobody knows the id (any more).
   */
  async get(timeoutMs = 30_000): Promise<R> {
    const deadline = performance.now() + timeoutMs;
    const feed = await this.#feed();
    for (let name: string | undefined; ; ) {
      const left = deadline - performance.now();
      // Listen first, then look: what happens in between is in one of them.
      const { arrived, ignore } = feed.news(this.id, Math.max(0, Math.min(left, LOOK_AGAIN_MS)));
      try {
        const job = await this.#queue.getJob(this.id);
        if (!job && name) throw new TaskRevokedError(this.id, name, TaskRevokedError.reason);
        if (!job)
          throw new UnknownTaskError(`No task ${this.id} in ${this.#queue.name}: is the id right, its result kept?`);
        if (job.finishedOn) return await this.#settle(job);
        if (left <= 0)
          throw new ResultTimeoutError(`Task ${job.name} (${this.id}) has no result after ${timeoutMs} ms.`);
        name = job.name;
        await arrived;
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

  async #settle(job: BullJob): Promise<R> {
    // A task that failed, was tried again and came through still has the reason of its failure.
    const failed = job.failedReason !== undefined && (await job.isFailed());
    // The compiler has checked the result where the task was declared; here it comes back from Redis.
    if (!failed) return job.returnvalue as R;
    const { id = this.id, name, failedReason } = await this.#culprit(job);
    if (failedReason === TaskExpiredError.reason) throw new TaskExpiredError(id, name, failedReason);
    if (failedReason === TaskRevokedError.reason) throw new TaskRevokedError(id, name, failedReason);
    throw new TaskFailedError(id, name, failedReason);
  }

  /** In a chain or a chord: the task that failed, not the one that waited for it. */
  async #culprit(job: BullJob): Promise<BullJob> {
    const [, child] = CHILD_FAILED.exec(job.failedReason) ?? [];
    const failed = child === undefined ? undefined : await this.#queue.getJob(child);
    return failed ? this.#culprit(failed) : job;
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
