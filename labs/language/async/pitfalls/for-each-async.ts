// Flaw: the tasks are started as by forEach(async …): nobody waits for them, and nobody hears of their failures.
// Seen in: https://github.com/lodash/lodash/issues/5248
// Caught by: a group waits for its tasks, and for the tasks of its tasks
import type { TaskGroup } from '../src/index.ts';

export * from '../src/index.ts';

export async function taskGroup<T>(body: (group: TaskGroup) => T | PromiseLike<T>): Promise<T> {
  const { signal } = new AbortController();
  return body({ signal, spawn: async (task) => task(signal) });
}
