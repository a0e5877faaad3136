// Flaw: Promise.all: the first failure ends the waiting and nothing else; the siblings go on and charge the card.
// Seen in: https://github.com/microsoft/vscode/issues/115522
// Caught by: the first failure aborts the siblings, and the group waits until they have cleaned up
import { type TaskGroup, TaskGroupError } from '../src/index.ts';

export * from '../src/index.ts';

export async function taskGroup<T>(body: (group: TaskGroup) => T | PromiseLike<T>): Promise<T> {
  const { signal } = new AbortController();
  const tasks: Promise<unknown>[] = [];
  const group: TaskGroup = {
    signal,
    spawn(task) {
      const outcome = (async () => task(signal))();
      outcome.catch(() => {});
      tasks.push(outcome);
      return outcome;
    },
  };
  try {
    const result = await body(group);
    for (let known = -1; known < tasks.length; ) {
      known = tasks.length;
      await Promise.all(tasks);
    }
    return result;
  } catch (error) {
    throw new TaskGroupError([error]);
  }
}
