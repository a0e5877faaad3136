import type { Worker as Thread } from 'node:worker_threads';
import { type QueueEvents, RedisConnection, UnrecoverableError, Worker, type WorkerOptions } from 'bullmq';
import {
  asError,
  HardTimeLimitError,
  LockLostError,
  PermanentError,
  SoftTimeLimitError,
  TaskExpiredError,
  TaskRevokedError,
} from './errors.ts';
import type { BullJob } from './result.ts';
import { startThread } from './sandbox.ts';
import {
  checkJson,
  type Envelope,
  integerFrom,
  type Json,
  type Result,
  type Task,
  type TaskContext,
  type Tasks,
} from './tasks.ts';

/** Calls `callback` once, `ms` milliseconds from now, and returns a function that cancels it. */
export type After = (ms: number, callback: () => void) => () => void;

export interface TaskWorkerOptions {
  /** Tasks at once in this process. Good for waiting; work that computes blocks the others. Default 1. */
  readonly concurrency?: number;
  /**
   * At most `max` tasks in `perMs` milliseconds, counted from the first of them, over all workers of the queue: so around
   * the end of such a window up to twice as many may meet. Default: no limit.
   */
  readonly rateLimit?: { readonly max: number; readonly perMs: number };
  /** Milliseconds without a sign of life after which a worker counts as dead. Renewed at half of it. Default 30 000. */
  readonly lockMs?: number;
  /** Milliseconds between two looks for tasks of dead workers. Default 30 000. */
  readonly stalledCheckMs?: number;
  /** How often a task may lose its worker before it fails: one that kills its workers must not kill them all. Default 1. */
  readonly maxStalls?: number;
  /** Told of what has no caller: a lost connection, a lost lock. Default: `console.error`. */
  readonly onError?: (error: Error) => void;
  /** The timer of soft and hard limits. Default: `setTimeout`; a test gives one that it moves by hand. */
  readonly after?: After;
}

/** One that runs here. It has ended when BullMQ may forget its lock. */
interface Run {
  readonly controller: AbortController;
  readonly ended: Promise<void>;
}

/** Milliseconds between a task's being taken in Redis and its beginning here, at most. */
const UNDER_WAY_MS = 5_000;

const systemTimer: After = (ms, callback) => {
  const timer = setTimeout(callback, ms);
  return () => clearTimeout(timer);
};

/** Runs the tasks of one queue in this process. Made by `TaskQueue.worker`. */
export class TaskWorker {
  readonly bull: Worker<Envelope, Json, string>;
  readonly #tasks: Tasks;
  readonly #after: After;
  readonly #running = new Map<string, Run>();
  readonly #revoked = new Set<string>();

  /** @throws InvalidArgumentError on a number that is not a whole one above 0; `maxStalls` may be 0. */
  constructor(
    name: string,
    tasks: Tasks,
    bull: Pick<WorkerOptions, 'connection' | 'prefix'>,
    options: TaskWorkerOptions,
  ) {
    const { concurrency = 1, lockMs = 30_000, stalledCheckMs = 30_000, maxStalls = 1, rateLimit } = options;
    const counts = { concurrency, lockMs, stalledCheckMs, ...rateLimit };
    for (const [option, value] of Object.entries(counts)) integerFrom(option, value, 1);
    integerFrom('maxStalls', maxStalls, 0);
    this.#tasks = tasks;
    this.#after = options.after ?? systemTimer;
    this.bull = new Worker<Envelope, Json, string>(name, (job) => this.process(job), {
      ...bull,
      concurrency,
      lockDuration: lockMs,
      stalledInterval: stalledCheckMs,
      maxStalledCount: maxStalls,
      ...(rateLimit && { limiter: { max: rateLimit.max, duration: rateLimit.perMs } }),
    });
    this.bull.on('error', options.onError ?? ((error) => console.error(error)));
    this.bull.on('lockRenewalFailed', (ids) => {
      for (const id of ids) this.abort(id, lockLost(id));
    });
  }

  /** Aborts the signal of a task that runs here. Says whether one does. */
  abort(id: string, reason: Error): boolean {
    const run = this.#running.get(id);
    run?.controller.abort(reason);
    return run !== undefined;
  }

  /** Aborts a task that runs here. One that Redis has given to this worker may be under way: it won't begin. */
  revoke(id: string, sent: string): void {
    const key = `${id}:${sent}`;
    this.#revoked.add(key);
    // The end of its run forgets it.
    if (this.abort(id, new TaskRevokedError(id, undefined, TaskRevokedError.reason))) return;
    setTimeout(() => this.#revoked.delete(key), UNDER_WAY_MS).unref();
  }

  /** Takes no more tasks, and resolves when those that run have ended. What waits, waits for other workers. */
  async close(): Promise<void> {
    await this.bull.pause(true);
    await closeConnected(this.bull);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** One run of one task. */
  protected async process(job: BullJob): Promise<Json> {
    const { name, data, id = '' } = job;
    const key = `${id}:${job.timestamp}`;
    if (data.revoked || this.#revoked.has(key)) throw new UnrecoverableError(TaskRevokedError.reason);
    // BullMQ begins the strike of a schedule again for ever; it has failed the others by itself.
    if (job.repeatJobKey !== undefined && job.stalledCounter > (this.bull.opts.maxStalledCount ?? 1)) {
      // Who tries it again by hand, on a board, means it.
      await (await this.bull.backend.client).hdel(this.bull.toKey(id), 'stc');
      throw new UnrecoverableError('it has lost its worker too often');
    }
    // One that has been begun before is not said to have never run: its retries go on.
    const isFirst = job.attemptsStarted <= 1;
    if (isFirst && data.expires !== undefined && Date.now() > data.expires)
      throw new UnrecoverableError(TaskExpiredError.reason);
    const definition = Object.hasOwn(this.#tasks, name) ? this.#tasks[name] : undefined;
    // Tried again: while a new version is rolled out, another worker may know it.
    if (!definition) throw new Error(`no task is named ${name} in this worker: are its sources old?`);

    const controller = new AbortController();
    const stopSoftLimit = this.startSoftLimit(definition, id, controller);
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    // It may be this worker that has taken it over: from now on, BullMQ renews the new lock and misses no other.
    this.abort(id, lockLost(id));
    this.#running.set(id, { controller, ended });
    try {
      const payload = await this.payload(job);
      const context = {
        id: this.taskId(job),
        attempt: job.attemptsMade + 1,
        signal: controller.signal,
        progress: (percent: number) => job.updateProgress(percent),
      };
      // `send` has checked it against this very map.
      return storable((await this.run(definition, payload as never, context)) ?? null);
    } catch (error) {
      // Not the reason of its signal: a signal aborts once, and may have done so before.
      if (this.#revoked.has(key)) throw new UnrecoverableError(TaskRevokedError.reason);
      throw this.verdict(error);
    } finally {
      stopSoftLimit?.();
      this.#revoked.delete(key);
      const last = this.#running.get(id);
      // BullMQ forgets locks by the task's id: the end of this run would be that of the lock of one that goes on here.
      if (last?.controller === controller) this.#running.delete(id);
      else await last?.ended;
      end();
    }
  }

  protected taskId(job: BullJob): string {
    return job.data.key ?? job.id ?? '';
  }

  /** The payload as it was sent, or made of what the tasks before have returned. */
  protected async payload(job: BullJob): Promise<Json> {
    const { payload, previous, all } = job.data;
    if (previous === undefined && all === undefined) return payload;
    const values: Record<string, Json> = await job.getChildrenValues();
    const of = (id: string) => values[`${job.queueQualifiedName}:${id}`];
    if (previous !== undefined) return of(previous);
    // The hash that Redis returns has no order; those that failed and may are not in it.
    return this.inOrder(all ?? [], (id) => of(id), values);
  }

  protected inOrder(ids: readonly string[], of: (id: string) => Json, _values: Readonly<Record<string, Json>>): Json[] {
    return ids.map(of).filter((value) => value !== undefined);
  }

  /**
   * What is thrown to BullMQ: an UnrecoverableError isn't retried, whatever attempts are left. It goes by the names of
   * errors, and what a task throws may have one of them: after a DelayedError it would leave the task as it is.
   */
  protected verdict(error: unknown): unknown {
    const { message, stack } = asError(error);
    const verdict = error instanceof PermanentError ? new UnrecoverableError(message) : new Error(message);
    return Object.assign(verdict, { stack, cause: error });
  }

  protected run(definition: Task<never, Result>, payload: never, context: TaskContext): Promise<Result> | Result {
    const { run, sandbox } = definition;
    return sandbox ? this.inThread(sandbox, payload, context) : run(payload, context);
  }

  /** Runs a sandboxed task in a thread of its own, which is gone when this ends: nothing of the run goes on. */
  protected async inThread(
    { module, hardLimitMs }: NonNullable<Task<never, Result>['sandbox']>,
    payload: Json,
    context: TaskContext,
  ): Promise<Result> {
    const { thread, result } = startThread(module, payload, context);
    const { promise: late, reject } = Promise.withResolvers<never>();
    const stopHardLimit = this.#after(hardLimitMs, () => reject(new Error(HardTimeLimitError.reason)));
    try {
      return await Promise.race([result, late]);
    } finally {
      stopHardLimit();
      await this.endThread(thread);
    }
  }

  /** Resolves when the thread stands still. */
  protected async endThread(thread: Thread): Promise<void> {
    await thread.terminate();
  }

  protected startSoftLimit(definition: Task<never, Result>, id: string, controller: AbortController) {
    const { softLimitMs } = definition;
    if (softLimitMs === undefined) return undefined;
    const error = new SoftTimeLimitError(`Task ${id} has run for more than ${softLimitMs} ms.`);
    return this.#after(softLimitMs, () => controller.abort(error));
  }
}

/**
 * A client of ioredis that is told to disconnect while it waits to connect again does neither: its end never comes. BullMQ
 * tells the one that blocks: so this waits for that one, and lets nothing come in between.
 */
export async function closeConnected(one: QueueEvents | Worker): Promise<void> {
  try {
    const client = await (one.backend.blockingClient ?? one.backend.client);
    while (client.status !== 'ready') await RedisConnection.waitUntilReady(client);
  } catch {
    // One that has ended, or was never there, is no worse.
  }
  await one.close();
}

const lockLost = (id: string) => new LockLostError(`Another worker has taken over task ${id}.`);

/** The task has had its effect: running it again would not make its result one that can be stored. */
function storable(result: Json): Json {
  try {
    checkJson(result);
    return result;
  } catch (error) {
    throw new PermanentError(`its result can't be stored: ${asError(error).message}`, { cause: error });
  }
}
