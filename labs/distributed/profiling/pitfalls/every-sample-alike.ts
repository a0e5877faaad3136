// Flaw: each sample counts one interval, whatever the deltas say: a thread that was off the processor, or a late sample, is lost.
// Seen in: https://github.com/mstange/samply/issues/14 (milliseconds as samples × interval, with a sampler that was starved)
// Caught by: a sample lasts until the next one; self and children add up to the total, and all of them to the run
import type { Profiler } from 'node:inspector';
import { type CallTree, callTree as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function callTree(profile: Profiler.Profile): CallTree {
  return reference({ ...profile, timeDeltas: (profile.samples ?? []).map((_, index) => (index === 0 ? 0 : 1000)) });
}
