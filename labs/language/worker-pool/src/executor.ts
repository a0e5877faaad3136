import { BasePool, type Job, type Place } from './base-pool.ts';
import {
  BrokenPoolError,
  inWords,
  OutOfMemoryError,
  ShutdownError,
  TaskTimeoutError,
  WorkerCrashedError,
  type WorkerExit,
} from './errors.ts';
import type { Future } from './future.ts';
import { mapInOrder } from './map.ts';
import {
  checkCount,
  checkSubmit,
  type ExecutorOptions,
  type Input,
  type MapOptions,
  type Output,
  type SubmitOptions,
  type TaskName,
} from './options.ts';
import type { FromWorker } from './protocol.ts';
import { type RemoteError, reviveError } from './remote-error.ts';

/** Workers that may die in a row before they are ready; then the pool gives up. */
const MAX_STILLBORN = 3;

/**
 * Runs the exported functions of a module in threads or processes, at most `maxWorkers` at once.
 * Source: https://docs.python.org/3/library/concurrent.futures.html
 */
export class Executor<T extends object> extends BasePool<T> implements AsyncDisposable {
  #stillborn = 0;
  #broken: BrokenPoolError | undefined;
  #closed: PromiseWithResolvers<void> | undefined;

  /** @throws InvalidArgumentError on options that no pool can be made from. */
  constructor(options: ExecutorOptions<NoInfer<T>>) {
    super(options);
    this.fill();
  }

  /**
   * Copies `input` and queues the task. The future fails with what the task threw, or with a PoolError: at once when the
   * input can't be copied (UncloneableError), later when the worker dies (WorkerCrashedError) or the task runs too long.
   *
   * @throws ShutdownError, BrokenPoolError or QueueFullError when the pool doesn't take it; InvalidArgumentError.
   */
  submit<K extends TaskName<T>>(task: K, input: Input<T, K>, options: SubmitOptions = {}): Future<Output<T, K>> {
    return this.enqueue(task, [input], options, ({ values, error }) => {
      if (error) throw this.revive(error);
      return values[0] as Output<T, K>;
    });
  }

  /**
   * The results in the order of the inputs. Begins at once, and draws from `inputs` as results are taken: never more than
   * `buffersize` chunks ahead. The first error ends it, as does leaving the loop: what has not started is cancelled.
   *
   * @throws ShutdownError, BrokenPoolError, InvalidArgumentError. What else `submit` throws comes in its turn.
   */
  map<K extends TaskName<T>>(
    task: K,
    inputs: Iterable<Input<T, K>>,
    options: MapOptions = {},
  ): AsyncIterable<Output<T, K>> {
    const { chunksize, buffersize, ...rest } = options;
    const { kind, maxWorkers, maxQueue } = this.options;
    const size = checkCount('chunksize', chunksize, 1, 1);
    const ahead = checkCount('buffersize', buffersize, 1, Math.min(2 * maxWorkers, maxWorkers + maxQueue));
    checkSubmit(kind, rest);
    this.assertOpen();
    const revive = (error: RemoteError) => this.revive(error);
    return mapInOrder(
      inputs,
      { size, ahead },
      (chunk) => this.enqueue(task, chunk, rest, (outcome) => outcome),
      function* ({ values, error }) {
        yield* values as Output<T, K>[];
        if (error) throw revive(error);
      },
    );
  }

  /**
   * Takes nothing more, finishes what was submitted (or cancels what has not started), and resolves when all workers
   * have ended. May be called again. A task that never ends is waited for: see `terminate`.
   */
  shutdown({ cancelFutures = false }: { readonly cancelFutures?: boolean } = {}): Promise<void> {
    this.#closed ??= Promise.withResolvers();
    if (cancelFutures) this.#clear((job) => job.future.cancel());
    this.fill();
    return this.#closed.promise;
  }

  /** Shuts down at once: what waits is cancelled, what runs is ended where it stands and fails with ShutdownError. */
  terminate(): Promise<void> {
    const closed = this.shutdown({ cancelFutures: true });
    for (const place of this.places) this.end(place, new ShutdownError('The pool was terminated while the task ran.'));
    return closed;
  }

  /** `shutdown()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  protected override assertOpen(): void {
    if (this.#broken) throw this.#broken;
    if (this.#closed) throw new ShutdownError('The pool was shut down and takes no tasks.');
  }

  protected revive(error: RemoteError): unknown {
    return reviveError(error, this.options.errors);
  }

  /** Gives what waits to who is idle, and starts workers for the rest while there are places. */
  protected override fill(): void {
    const ending = this.#broken ?? this.#closed;
    for (const place of this.places) {
      if (place.state !== 'idle') continue;
      const job = this.queue.take();
      if (job?.future.start()) this.run(place, job);
      else if (ending) this.retire(place);
      else this.hold(place, false);
    }
    if (!this.#broken) {
      const { maxWorkers, minWorkers } = this.options;
      const lacking = Math.max(this.queue.size - this.count('starting'), ending ? 0 : minWorkers - this.places.size);
      const free = maxWorkers - this.places.size;
      for (let count = Math.min(lacking, free); count > 0; count--) this.start();
    }
    if (this.places.size === 0 && this.queue.size === 0) this.#closed?.resolve();
  }

  protected run(place: Place, job: Job): void {
    const { id, task, parcel, timeoutMs } = job;
    const message = { type: 'run', id, task, parcel: parcel.body } as const;
    // Before it is copied: a getter in the input may come back to us.
    place.state = 'busy';
    place.job = job;
    this.hold(place, true);
    if (this.uncloneable(job, () => place.worker.post(message, parcel.transfer))) {
      if (place.job === job) this.#vacate(place, 'idle');
      this.fill();
      return;
    }
    if (timeoutMs === undefined || place.job !== job) return;
    const error = new TaskTimeoutError(`"${task}" ran for longer than ${timeoutMs} ms.`);
    // An answer that came in time while our own thread was busy is read before the immediate.
    place.timer = setTimeout(() => setImmediate(() => place.job === job && this.end(place, error)), timeoutMs);
  }

  /** While a worker is held, our process stays alive. */
  protected hold({ worker }: Place, on: boolean): void {
    worker.hold(on);
  }

  /** A worker died while it ran `job`. */
  protected lost({ task, future }: Job, exit: WorkerExit): void {
    const { cause } = exit;
    const noMemory = cause instanceof Error && 'code' in cause && cause.code === 'ERR_WORKER_OUT_OF_MEMORY';
    if (!future.done) future.reject(new (noMemory ? OutOfMemoryError : WorkerCrashedError)(task, exit));
  }

  /** Ends a worker where it stands; its task has failed because of `reason`. Its place is free when it has gone. */
  protected override end(place: Place, reason: unknown): void {
    const job = this.#vacate(place, 'ending');
    place.worker.kill();
    if (job && !job.future.done) job.future.reject(reason);
  }

  /** Whether a worker is to be replaced by a new one. */
  protected worn({ tasks }: Place): boolean {
    return tasks >= this.options.maxTasksPerChild;
  }

  /** Lets a worker that runs nothing end by itself. */
  protected retire(place: Place): void {
    place.state = 'leaving';
    this.hold(place, true);
    place.worker.post({ type: 'end' });
  }

  /** No worker can be had: nobody may wait for one. What runs on healthy workers is finished. */
  protected override breakDown(cause: unknown): void {
    this.#broken ??= new BrokenPoolError(`No worker can be started: ${inWords(cause)}`, { cause });
    const broken = this.#broken;
    this.#clear(({ future }) => future.reject(broken));
    for (const place of this.places) if (place.state === 'starting') this.end(place, broken);
    this.fill();
  }

  protected override hear(place: Place, message: FromWorker): void {
    if (message.type === 'pool:failed') this.breakDown(this.revive(message.error));
    else if (message.type === 'pool:ready') {
      this.#stillborn = 0;
      if (place.state === 'starting') place.state = 'idle';
    } else if (message.id === place.job?.id) {
      // Else it is late, or said twice, and belongs to nobody.
      place.tasks++;
      const job = this.#vacate(place, 'idle');
      if (this.worn(place)) this.retire(place);
      job?.settle(message);
    }
    this.fill();
  }

  protected override exited(place: Place, exit: WorkerExit): void {
    const { state, tasks } = place;
    this.places.delete(place);
    const job = this.#vacate(place, 'ending');
    if (job) this.lost(job, exit);
    if (state === 'starting' && ++this.#stillborn >= MAX_STILLBORN) {
      const { code, signal, cause } = exit;
      this.breakDown(cause ?? new Error(`${MAX_STILLBORN} in a row ended at their start (${signal ?? code})`));
    }
    // One that died idle, without a task, is replaced when there is one: else it would be replaced for ever.
    if (state !== 'idle' || tasks > 0 || this.queue.size > 0 || this.#closed) this.fill();
  }

  #vacate(place: Place, state: Place['state']): Job | undefined {
    const { job } = place;
    clearTimeout(place.timer);
    place.job = undefined;
    place.state = state;
    return job;
  }

  #clear(drop: (job: Job) => void): void {
    for (let job = this.queue.take(); job; job = this.queue.take()) drop(job);
  }
}
