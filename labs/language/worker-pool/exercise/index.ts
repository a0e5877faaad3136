import { BasePool, type Job, type Place } from '../src/base-pool.ts';
import { Future as FutureWithoutCancel } from '../src/future.ts';
import {
  type Awaitable,
  type ExecutorOptions,
  type Input,
  type MapOptions,
  type Output,
  ShutdownError,
  type SubmitOptions,
  type TaskName,
  type WorkerExit,
} from '../src/index.ts';
import { chunked, type Outcome } from '../src/map.ts';
import { checkCount, checkSubmit } from '../src/options.ts';
import type { FromWorker } from '../src/protocol.ts';
import type { RemoteError } from '../src/remote-error.ts';
import { watch } from '../src/waiting.ts';

// Given: the workers' own end (src/worker.ts) and the way to them (transport.ts), the way into the queue (base-pool.ts),
// the options, the errors, and `wait`. Yours: when a task runs, in which worker, and what becomes of its future whatever
// happens to that worker. `h` in `pnpm lab learn worker-pool` helps. You work with these:
//   this          places (a Set), count(state), start(), options; queue.take() and queue.size
//   a place       state: 'starting' | 'idle' | 'busy' | 'ending', yours to set; job, timer; worker.post, worker.hold, worker.kill
//   a job         id, task, parcel, timeoutMs, future; settle(message)
//   a future      start(): whether it may run; reject(error) settles it, once
//   a message     'pool:ready'; 'pool:failed' with its `error`; 'pool:done' with its `id`
//   errors        CancelledError, TaskTimeoutError, ShutdownError (message); BrokenPoolError(message, { cause });
//                 WorkerCrashedError(task, exit)
export type {
  Awaitable,
  ErrorClass,
  ExecutorOptions,
  FutureState,
  Input,
  MapOptions,
  Output,
  PoolStats,
  SubmitOptions,
  TaskName,
  WorkerExit,
  WorkerKind,
} from '../src/index.ts';
export {
  BrokenPoolError,
  CancelledError,
  InvalidArgumentError,
  InvalidStateError,
  OutOfMemoryError,
  PoolError,
  QueueFullError,
  ShutdownError,
  TaskTimeoutError,
  UncloneableError,
  WaitTimeoutError,
  WorkerCrashedError,
  wait,
} from '../src/index.ts';

/** The result of a task that may not have started yet. All but `cancel` is given: src/future.ts. */
export class Future<R> extends FutureWithoutCancel<R> {
  /**
   * While the task waits: `this.settle('cancelled', new CancelledError(…))`, which tells the queue to drop it.
   * @returns whether the task will never run: false once it has started, true also for who asks again.
   */
  override cancel(): boolean {
    return todo('Future.cancel');
  }
}

/** Runs the exported functions of a module in threads or processes, at most `maxWorkers` at once. */
export class Executor<T extends object> extends BasePool<T> implements AsyncDisposable {
  constructor(options: ExecutorOptions<NoInfer<T>>) {
    super(options);
    this.fill();
  }

  /** Given. A task with one input; its future has its result, or fails with what it threw. */
  submit<K extends TaskName<T>>(task: K, input: Input<T, K>, options: SubmitOptions = {}): Future<Output<T, K>> {
    return this.enqueue(task, [input], options, ({ values, error }) => {
      if (error) throw this.revive(error);
      return values[0] as Output<T, K>;
    });
  }

  /** What a worker threw, as an error of ours. `reviveError` of src/remote-error.ts knows how; `options.errors` are known. */
  protected revive(_error: RemoteError): unknown {
    return new Error('an error was thrown, and nobody knows which');
  }

  /**
   * Something has changed: a task waits in `this.queue`, a worker is idle or has gone, or the pool is shut down.
   *
   * Each idle place takes a task from the queue and runs it (`job.future.start()`, then `run`). For what still waits,
   * new workers are started (`this.start()`), never more than `options.maxWorkers` places in all, nor more than tasks
   * wait. Later: an idle worker without work keeps no process alive; after `shutdown` it is told to end.
   */
  protected override fill(): void {
    todo('fill');
  }

  /** Puts `job` into `place` and posts it: `{ type: 'run', id, task, parcel: parcel.body }`. After `timeoutMs`: `end`. */
  protected run(_place: Place, _job: Job): void {
    todo('run');
  }

  /**
   * A worker speaks: it is ready (its place is idle), it has failed to start (`breakDown`), or it has done the task
   * whose `id` it names: then its place is idle and `job.settle(message)` settles the future.
   */
  protected override hear(_place: Place, _message: FromWorker): void {
    todo('hear');
  }

  /** A worker has gone, for whatever reason. The last that is heard of it: whose future is still open? */
  protected override exited(_place: Place, _exit: WorkerExit): void {
    // So far nobody answers for what it ran, and its place is lost.
  }

  /**
   * Ends a worker where it stands (`place.worker.kill()`): its task has failed because of `reason`, at once. The place
   * is taken until the worker has gone.
   */
  protected override end(place: Place, _reason: unknown): void {
    // So far only this, so that the laws leave no worker behind.
    place.worker.kill();
  }

  /** No worker can be had. Whoever waits fails with a BrokenPoolError that has the cause, and so does who comes later. */
  protected override breakDown(_cause: unknown): void {
    todo('breakDown');
  }

  /** @throws ShutdownError after `shutdown`, BrokenPoolError after `breakDown`. Called before anything is taken. */
  protected override assertOpen(): void {}

  /**
   * Takes nothing more, finishes what was submitted (or cancels what has not started), and resolves when all workers
   * have ended: `place.worker.post({ type: 'end' })` lets an idle one end. May be called again.
   */
  async shutdown(_options: { readonly cancelFutures?: boolean } = {}): Promise<void> {
    return todo('shutdown');
  }

  /** Given. Shuts down at once: what waits is cancelled, what runs is ended where it stands. */
  terminate(): Promise<void> {
    const closed = this.shutdown({ cancelFutures: true });
    for (const place of this.places) this.end(place, new ShutdownError('The pool was terminated while the task ran.'));
    return closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  /**
   * The results in the order of the inputs. Begins at once, and draws from `inputs` as results are taken: never more than
   * `buffersize` chunks ahead.
   */
  map<K extends TaskName<T>>(
    task: K,
    inputs: Iterable<Input<T, K>>,
    options: MapOptions = {},
  ): AsyncIterable<Output<T, K>> {
    const { chunksize, buffersize, ...rest } = options;
    const { kind, maxWorkers, maxQueue } = this.options;
    const ahead = checkCount('buffersize', buffersize, 1, Math.min(2 * maxWorkers, maxWorkers + maxQueue));
    const chunks = chunked(inputs, checkCount('chunksize', chunksize, 1, 1));
    checkSubmit(kind, rest);
    this.assertOpen();
    const submit = (chunk: readonly Input<T, K>[]) => this.enqueue(task, chunk, rest, (outcome) => outcome);
    return this.inOrder<Output<T, K>>(() => {
      const { value, done } = chunks.next();
      return done ? undefined : submit(value);
    }, ahead);
  }

  /**
   * `submitNext()` submits what comes next and gives its future; undefined when nothing does. Its outcome has `values`
   * (`for (const value of values) yield value as R`), up to an `error` (`throw this.revive(error)`).
   */
  protected inOrder<R>(
    _submitNext: () => FutureWithoutCancel<Outcome> | undefined,
    _ahead: number,
  ): AsyncGenerator<R, void, undefined> {
    return todo('inOrder');
  }

  /** Given: futures whose `cancel` is yours. */
  protected override newFuture<R>(): Future<R> {
    return new Future<R>();
  }
}

/**
 * The futures in the order in which they are done, those that failed or were cancelled too: each once, as `{ future }`.
 * `timeoutMs` counts from this call. Those that are done by then still come; then it throws WaitTimeoutError.
 *
 * Given is `watch`: it calls back with each future as it is done, at once for those that are, and with undefined when
 * `timeoutMs` is over. It gives a function that stops it.
 */
export function asCompleted<F extends Awaitable>(
  futures: Iterable<F>,
  { timeoutMs }: { readonly timeoutMs?: number } = {},
): AsyncGenerator<{ future: F }, void, undefined> {
  watch(new Set(futures), timeoutMs, (_done) => {});
  return todo('asCompleted');
}

function todo(what: string): never {
  throw new Error(`${what} is not written yet: its comment in attempt/index.ts is the task.`);
}
