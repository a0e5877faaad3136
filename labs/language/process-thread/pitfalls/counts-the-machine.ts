// Flaw: a worker for each processor that the machine shows, in a container that may use two of them.
// Seen in: https://github.com/rolldown/rolldown/issues/10812
// Caught by: the cores that are ours are those of the mask and of the quota, not those of the machine
import { type Cpu, detectCpu as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function detectCpu(root?: string): Cpu {
  const cpu = reference(root);
  return { ...cpu, effective: cpu.logical };
}
