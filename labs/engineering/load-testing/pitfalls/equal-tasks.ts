// Flaw: tasks are drawn in turn, whatever their weights say, so the shop is tested with as many buyers as visitors.
// Seen in: https://github.com/locustio/locust/issues/766
// Caught by: a task of weight three is done three times as often as one of weight one
import { steps } from '../src/generator.ts';
import { runWith } from '../src/run.ts';
import type { pick as reference } from '../src/user.ts';

export * from '../src/index.ts';

export const pick: typeof reference = (tasks, random) => {
  const [, task] = tasks[Math.floor(random() * tasks.length)] ?? [];
  return task ?? (() => {});
};
export const run = runWith({ ...steps, pick });
