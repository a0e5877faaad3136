// Flaw: a division of cores that comes out as 0 on a small machine: nothing ever runs there.
// Seen in: https://github.com/airbnb/hypernova/pull/23
// Caught by: the rule of thumb: a process for a physical core, five threads for a logical one, and always a thread
import { ruleOfThumb as reference } from '../src/index.ts';

export * from '../src/index.ts';

export const ruleOfThumb: typeof reference = (kind, cpu) => {
  const sizing = reference(kind, cpu);
  return kind === 'mixed' ? { ...sizing, threads: Math.floor(cpu.logical / cpu.physical) } : sizing;
};
