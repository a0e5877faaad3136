// Flaw: every rejection is listed, so one failure comes with a crowd of cancellations that it has caused itself.
// Seen in: https://github.com/ampproject/amphtml/issues/21112
// Caught by: the error of a group lists every failure, in order, and no cancellation
import {
  taskGroup as reference,
  type Task,
  type TaskGroup,
  TaskGroupError,
  type TaskGroupOptions,
} from '../src/index.ts';

export * from '../src/index.ts';

export async function taskGroup<T>(
  body: (group: TaskGroup) => T | PromiseLike<T>,
  options?: TaskGroupOptions,
): Promise<T> {
  const rejections: unknown[] = [];
  const noting =
    <R>(task: Task<R>): Task<R> =>
    async (signal) => {
      try {
        return await task(signal);
      } catch (error) {
        rejections.push(error);
        throw error;
      }
    };
  try {
    return await reference(({ signal, spawn }) => {
      const group: TaskGroup = { signal, spawn: (task) => spawn(noting(task)) };
      return noting(() => body(group))(signal);
    }, options);
  } catch (error) {
    throw error instanceof TaskGroupError ? new TaskGroupError(rejections) : error;
  }
}
