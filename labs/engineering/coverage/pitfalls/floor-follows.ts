// Flaw: the floor is written anew from each run, so whoever updates one figure lowers the others.
// Seen in: https://github.com/ROCm/rocm-libraries/pull/10596
// Caught by: the floor rises with a better run, and never falls
import { type Floor, hundredths, type Measures, type Ratchet, ratchet as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function ratchet(previous: Floor, now: Measures): Ratchet {
  const floor = new Map(Object.entries(now).map(([name, share]) => [name, hundredths(share) ?? 0]));
  return { ...reference(previous, now), floor };
}
