// Flaw: twice as many workers as cores for work that only computes: they take turns, each is late, and memory is paid twice.
// Seen in: https://github.com/google/wireit/pull/363
// Caught by: work that computes gets as many threads as cores are ours, and no more
import { recommend as reference } from '../src/index.ts';

export * from '../src/index.ts';

export const recommend: typeof reference = (workload, cpu) => {
  const plan = reference(workload, cpu);
  return workload.kind === 'cpu' ? { ...plan, threads: 2 * plan.threads } : plan;
};
