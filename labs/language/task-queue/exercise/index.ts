import type { Job, JobsOptions, WorkerOptions } from 'bullmq';
import { Queue, Worker } from 'bullmq';
import type {
  AsyncResult,
  Envelope,
  GroupResult,
  Json,
  Schedule,
  SendOptions,
  Signature,
  TaskQueueOptions,
  Tasks,
  TaskWorkerOptions,
} from '../src/index.ts';
import type { BullQueue } from '../src/result.ts';
import type { ChainResult, Links, NameOf, Parts, PayloadOf, ResultOf, ResultsOf, Taking } from '../src/tasks.ts';

// Given: the words of the subject, the errors, the monitor, and the tickets. `new AsyncResult(id, bull, feed)` waits for
// a result; `feed` returns a `ResultFeed` (src/result.ts) on its `Events`. `startThread` (src/sandbox.ts) starts a
// run of a sandboxed task, and doesn't end it. The queue and its worker are yours.
// `h` in `pnpm lab learn task-queue` gives a hint.
export {
  type After,
  AsyncResult,
  type Connection,
  type Envelope,
  EvictionPolicyError,
  type Flow,
  GroupResult,
  HardTimeLimitError,
  InvalidArgumentError,
  type Json,
  LockLostError,
  Monitor,
  type Percentiles,
  PermanentError,
  type Priority,
  QueueClosedError,
  type Result,
  ResultTimeoutError,
  type RetryPolicy,
  type SandboxOptions,
  type Schedule,
  type SendOptions,
  type Signature,
  type Snapshot,
  SoftTimeLimitError,
  sandboxed,
  type Task,
  type TaskContext,
  TaskExpiredError,
  TaskFailedError,
  type TaskOptions,
  TaskQueueError,
  type TaskQueueOptions,
  TaskRevokedError,
  type TaskState,
  type Tasks,
  type TaskWorkerOptions,
  task,
  UnknownTaskError,
} from '../src/index.ts';

/** Celery's canvas, typed by a task map, on one BullMQ queue. */
export class TaskQueue<M extends Tasks> {
  readonly bull: BullQueue;
  readonly name: string;
  protected readonly tasks: M;
  protected readonly shared: Pick<WorkerOptions, 'connection' | 'prefix'>;

  constructor(tasks: M, options: TaskQueueOptions) {
    this.tasks = tasks;
    this.name = options.name ?? 'tasks';
    this.shared = { connection: options.connection, prefix: options.prefix ?? 'bull' };
    this.bull = new Queue<Envelope, Json, string, Envelope, Json, string>(this.name, this.shared);
  }

  /** Connects, and looks at the server's `maxmemory_policy`. @throws EvictionPolicyError unless it is `noeviction`. */
  ready(): Promise<this> {
    return todo('ready');
  }

  /** A call of `task`, to be sent by `group`, `chord` or `chain`. */
  s<N extends NameOf<M>>(task: N, payload: PayloadOf<M, N>, options: SendOptions = {}): Signature<N> {
    return { task, payload, options };
  }

  /**
   * Sends a task and returns its ticket at once. `SendOptions` says what each option promises.
   * @throws InvalidArgumentError before anything is sent: an id that is empty, has a colon or is a whole number; a
   *   countdown that isn't a whole number from 0 on; a countdown and an eta; an invalid Date; an unknown task.
   */
  delay<N extends NameOf<M>>(
    _task: N,
    _payload: PayloadOf<M, N>,
    _options: SendOptions = {},
  ): Promise<AsyncResult<ResultOf<M, N>>> {
    return todo('delay');
  }

  /** The ticket of a task that was sent before, here or elsewhere. */
  result<R>(_id: string): AsyncResult<R> {
    throw new Error('result is not written yet');
  }

  /** Sends all at once; the results come in the order of the signatures. */
  group<const S extends readonly Signature<NameOf<M>>[]>(_signatures: S): Promise<GroupResult<ResultsOf<M, S>>> {
    return todo('group');
  }

  /**
   * Runs `header` in parallel, then `callback` with the list of its results, in the order of the signatures. When a
   * task of the header fails for good, so does the callback (`fail`, the default), or it gets the results of the
   * others (`skip`). A countdown or an eta is for the parts.
   */
  chord<
    const S extends readonly Signature<NameOf<M>>[],
    C extends Taking<M, Parts<M, S, F>>,
    F extends 'fail' | 'skip' = 'fail',
  >(
    _header: S,
    _callback: C,
    _options: SendOptions & { readonly onFailure?: F; readonly countdownMs?: never; readonly eta?: never } = {},
  ): Promise<AsyncResult<ResultOf<M, C>>> {
    return todo('chord');
  }

  /** Runs one after the other, each with the result of the one before; the ticket is the last one's. */
  chain<A extends NameOf<M>, const L extends readonly string[]>(
    _first: Signature<A>,
    ..._rest: Links<M, A, L>
  ): Promise<AsyncResult<ChainResult<M, A, L>>> {
    return todo('chain');
  }

  /** Sends `task` on a schedule, one for all instances that call this with the same `id`. */
  beat<N extends NameOf<M>>(_id: string, _schedule: Schedule, _task: N, _payload: PayloadOf<M, N>): Promise<void> {
    return todo('beat');
  }

  /** Ends a schedule. Says whether there was one. */
  endBeat(_id: string): Promise<boolean> {
    return todo('endBeat');
  }

  /**
   * Takes a task back, and with a chain's or chord's ticket all tasks before it: what waits is removed, what runs has
   * its signal aborted with a TaskRevokedError, in whatever process it runs. Says how many it met.
   */
  revoke(_id: string): Promise<number> {
    return todo('revoke');
  }

  /** Starts a worker of this queue in this process. @throws EvictionPolicyError, or InvalidArgumentError on an option */
  worker(_options: TaskWorkerOptions = {}): Promise<TaskWorker> {
    return todo('worker');
  }

  /** Closes the workers that this queue has started, then what else it has opened. */
  async close(): Promise<void> {
    await this.bull.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** BullMQ's options for a job of `task`: priority, delay, attempts, backoff, what is kept. */
  protected jobOptions(_task: string, _options: SendOptions): JobsOptions {
    return {};
  }
}

/** Runs the tasks of one queue in this process. */
export class TaskWorker {
  readonly bull: Worker<Envelope, Json, string>;
  protected readonly tasks: Tasks;

  /** @throws InvalidArgumentError on a number that is not a whole one above 0. */
  constructor(
    name: string,
    tasks: Tasks,
    bull: Pick<WorkerOptions, 'connection' | 'prefix'>,
    options: TaskWorkerOptions,
  ) {
    this.tasks = tasks;
    const { after: _, ...rest } = options;
    this.bull = new Worker<Envelope, Json, string>(name, (job) => this.process(job), { ...bull, ...rest });
  }

  /** Aborts the signal of a task that runs here. Says whether one does. */
  abort(_id: string, _reason: Error): boolean {
    return false;
  }

  /** Aborts a task that runs here; one that Redis has given to this worker and that has not begun must not begin. */
  revoke(_id: string, _sent: string): void {}

  /** Takes no more tasks, and resolves when those that run have ended. */
  close(): Promise<void> {
    return todo('close');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * One run of one task: its payload, its context, its end. A PermanentError must not be tried again. A task with a
   * `sandbox` runs in a thread, and at its hard limit fails with `HardTimeLimitError.reason`: the thread is gone by then.
   * The timer of both limits is `options.after`.
   */
  protected process(_job: Job<Envelope, Json, string>): Promise<Json> {
    return todo('process');
  }
}

async function todo(method: string): Promise<never> {
  throw new Error(`${method} is not written yet: its comment in attempt/index.ts is the task.`);
}
