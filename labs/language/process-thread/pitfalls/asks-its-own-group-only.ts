// Flaw: only the innermost control group is asked for its quota, and the one around it has the tighter one.
// Seen in: https://github.com/ninja-build/ninja/issues/2805
// Caught by: of groups within groups the tightest quota holds
import { cpuGroups, effective, quotaOf, reader } from '../src/cpu.ts';
import { type Cpu, detectCpu as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function detectCpu(root = '/'): Cpu {
  const read = reader(root);
  const cpu = reference(root);
  const [own] = cpuGroups(read);
  const quota = own === undefined ? undefined : quotaOf(read, own);
  return { ...cpu, quota, effective: effective(cpu.affinity, quota) };
}
