import { inWords, QueueFullError, UncloneableError, type WorkerExit } from './errors.ts';
import { Future } from './future.ts';
import type { Outcome } from './map.ts';
import { checkOptions, checkSubmit, type ExecutorOptions, type SubmitOptions } from './options.ts';
import type { FromWorker } from './protocol.ts';
import { PriorityQueue } from './queue.ts';
import { type Parcel, pack, startWorker, type WorkerHandle } from './transport.ts';

/** A task from its submission to its end. */
export interface Job {
  readonly id: number;
  readonly task: string;
  parcel: Parcel;
  readonly priority: number;
  readonly timeoutMs: number | undefined;
  readonly future: Future<unknown>;
  /** Settles the future, unless it is done already. */
  settle(outcome: Outcome): void;
}

/** A place in the pool, from the start of its worker to its exit. */
export interface Place {
  readonly worker: WorkerHandle;
  /** One that is `ending` was killed, and may still run its task; one that is `leaving` runs nothing. */
  state: 'starting' | 'idle' | 'busy' | 'ending' | 'leaving';
  /** What it runs. */
  job: Job | undefined;
  timer: NodeJS.Timeout | undefined;
  /** How many tasks it has finished. */
  tasks: number;
}

export interface PoolStats {
  /** Threads or processes that were started and have not ended. */
  readonly workers: number;
  readonly running: number;
  readonly waiting: number;
}

/** The way into a pool: what is submitted is checked, copied and queued, and workers are started. */
export abstract class BasePool<T extends object> {
  protected readonly options;
  protected readonly places = new Set<Place>();
  protected readonly queue = new PriorityQueue<Job>();
  #ids = 0;

  constructor(options: ExecutorOptions<T>) {
    this.options = checkOptions(options);
  }

  get stats(): PoolStats {
    return { workers: this.places.size, running: this.count('busy'), waiting: this.queue.size };
  }

  protected abstract assertOpen(): void;
  /** Something has changed: a task waits, a worker is idle or has gone. */
  protected abstract fill(): void;
  protected abstract end(place: Place, reason: unknown): void;
  protected abstract hear(place: Place, message: FromWorker): void;
  protected abstract exited(place: Place, exit: WorkerExit): void;
  protected abstract breakDown(cause: unknown): void;

  protected newFuture<R>(): Future<R> {
    return new Future<R>();
  }

  protected count(state: Place['state']): number {
    let count = 0;
    for (const place of this.places) if (place.state === state) count++;
    return count;
  }

  /** Queues a task with one or more inputs. What `read` makes of its outcome, or throws, is the future's. */
  protected enqueue<R>(
    task: string,
    inputs: readonly unknown[],
    options: SubmitOptions,
    read: (outcome: Outcome) => R,
  ): Future<R> {
    const { signal, timeoutMs, priority = 0, transfer = [] } = options;
    const { kind, maxWorkers, maxQueue } = this.options;
    this.assertOpen();
    checkSubmit(kind, options);
    const future = this.newFuture<R>();
    if (signal?.aborted) {
      future.reject(signal.reason);
      return future;
    }
    // A worker that was killed has its place until it has gone.
    const taken = this.count('busy') + this.count('ending') + this.queue.size;
    if (taken >= maxWorkers + maxQueue) throw new QueueFullError(`${maxQueue} tasks are waiting; that is maxQueue.`);
    const settle = (outcome: Outcome) => {
      if (future.done) return;
      try {
        future.resolve(read(outcome));
      } catch (error) {
        future.reject(error);
      }
    };
    const parcel = { body: inputs, transfer };
    const job: Job = { id: ++this.#ids, task, parcel, priority, timeoutMs, future, settle };
    const abort = () => {
      const place = [...this.places].find((each) => each.job === job);
      if (place) this.end(place, signal?.reason);
      else future.reject(signal?.reason);
    };
    signal?.addEventListener('abort', abort);
    future.onDone(() => {
      signal?.removeEventListener('abort', abort);
      this.queue.drop(job);
    });
    this.queue.push(job);
    this.fill();
    // What was posted has been copied by that.
    if (future.state === 'pending') this.uncloneable(job, () => (job.parcel = pack(kind, inputs, transfer)));
    return future;
  }

  /** Whether `copy` fails: then the job has failed. */
  protected uncloneable({ task, future }: Job, copy: () => void): boolean {
    try {
      copy();
      return false;
    } catch (cause) {
      // A getter in the input may have had it aborted before.
      if (!future.done) {
        const why = `The input of "${inWords(task)}" can't be copied: ${inWords(cause)}`;
        future.reject(new UncloneableError(why, { cause }));
      }
      return true;
    }
  }

  /** A worker in a place of its own; `hear` and `exited` get what it says and how it ends. */
  protected start(): void {
    const { kind, resourceLimits, file, initializer } = this.options;
    try {
      const worker = startWorker(kind, resourceLimits, {
        message: (message) => this.hear(place, message),
        exit: (exit) => this.exited(place, exit),
        unreadable: (cause) => {
          if (place.state === 'starting') return this.breakDown(cause);
          // Whether that was its answer is not known: no other may come from it.
          const why = `What the worker sent while it ran "${place.job?.task}" can't be read: ${inWords(cause)}`;
          this.end(place, new UncloneableError(why, { cause }));
        },
      });
      const place: Place = { worker, state: 'starting', job: undefined, timer: undefined, tasks: 0 };
      this.places.add(place);
      worker.post({ type: 'start', file, initializer });
    } catch (cause) {
      this.breakDown(cause);
    }
  }
}
