// Flaw: how many may wait at once is a multiple of the cores: while all of them wait the machine idles, and the queue grows.
// Seen in: https://github.com/open-webui/open-webui/issues/28168
// Caught by: work that waits gets places, not threads: N(1 + W/C), or rate times latency
import { recommend as reference } from '../src/index.ts';

export * from '../src/index.ts';

export const recommend: typeof reference = (workload, cpu) => {
  const plan = reference(workload, cpu);
  const threads = 5 * cpu.effective;
  return workload.kind === 'io' ? { ...plan, threads, inFlight: threads } : plan;
};
