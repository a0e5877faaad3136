import { CancelledError, GroupClosedError, TaskGroupError } from './errors.ts';
import { isCancellation, onAbort } from './signal.ts';

/** Work that stops when its signal aborts: hand it on to `fetch`, a query, a sleep. */
export type Task<T> = (signal: AbortSignal) => T | PromiseLike<T>;

export interface TaskGroup {
  /** Aborts when a task fails or the caller's signal does. Every task is given it. */
  readonly signal: AbortSignal;
  /**
   * Starts `task` at once, as a call does. What it returns can be awaited, and need not be: the group knows its outcome.
   *
   * @throws GroupClosedError when the group has ended; the signal's reason when it has aborted. The task isn't called.
   */
  spawn<T>(task: Task<T>): Promise<T>;
}

export interface TaskGroupOptions {
  /**
   * Aborting it aborts all tasks; the group then rejects with its reason, whatever else has happened: what failed by then,
   * in a group inside another one too, is told nowhere else. Log in the task what must not be lost.
   */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Tasks that end together: resolves with the result of `body` when it and every task spawned in the group have ended.
 * The first failure aborts all others, and the group waits until they have cleaned up: it leaves nothing running.
 *
 * Source: asyncio.TaskGroup, https://docs.python.org/3/library/asyncio-task.html#task-groups; Nathaniel J. Smith,
 * https://vorpus.org/blog/notes-on-structured-concurrency-or-go-statement-considered-harmful/
 *
 * @throws the reason of `options.signal` when it has aborted.
 * @throws TaskGroupError with every failure of body and tasks, also when there is one only. Cancellations are none.
 */
export async function taskGroup<T>(
  body: (group: TaskGroup) => T | PromiseLike<T>,
  { signal }: TaskGroupOptions = {},
): Promise<T> {
  signal?.throwIfAborted();
  const controller = new AbortController();
  const ended = Promise.withResolvers<void>();
  // A set: a body that awaited a failed task throws the same error a second time.
  const errors = new Set<unknown>();
  let running = 0;

  const run = async <R>(task: Task<R>): Promise<R> => {
    running++;
    try {
      return await task(controller.signal);
    } catch (error) {
      if (!isCancellation(error, controller.signal)) {
        errors.add(error);
        // Not the error itself: a sibling would handle it as its own.
        const reason = new CancelledError('A sibling failed.', { cause: error });
        controller.abort(reason);
      }
      throw error;
    } finally {
      if (--running === 0) ended.resolve();
    }
  };
  const start = <R>(task: Task<R>): Promise<R> => {
    const outcome = run(task);
    outcome.catch(() => {});
    return outcome;
  };
  const group: TaskGroup = {
    signal: controller.signal,
    spawn(task) {
      if (running === 0)
        throw new GroupClosedError('The group has ended: spawn the task while its body or a task runs.');
      controller.signal.throwIfAborted();
      return start(task);
    },
  };

  using _ = onAbort(signal, (reason) => controller.abort(reason));
  const result = start(() => body(group));
  await ended.promise;
  signal?.throwIfAborted();
  if (errors.size > 0) throw new TaskGroupError([...errors]);
  return result;
}
