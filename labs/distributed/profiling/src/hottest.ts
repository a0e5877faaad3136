import type { Call, CallTree, Place } from './call-tree.ts';

export interface Hot extends Place {
  readonly selfUs: number;
  /** Time in which the function was anywhere on the stack: once a sample, however often it calls itself. */
  readonly totalUs: number;
  /** `selfUs` as a share of all work, 0 to 1. */
  readonly self: number;
  /** `totalUs` as a share of all work, 0 to 1. */
  readonly total: number;
  /** Where the true `self` lies, in 95 of 100 such runs: see `shareInterval`. The looks are all samples of work. */
  readonly between: readonly [low: number, high: number];
}

/**
 * Between which shares the truth lies, in 95 of 100 runs, when of `samples` independent looks `hits` found it.
 * Source: E. B. Wilson, Probable Inference (1927). It says more than nothing when `hits` is 0.
 */
export function shareInterval(hits: number, samples: number): [low: number, high: number] {
  if (samples === 0) return [0, 1];
  const z = 1.96;
  const share = hits / samples;
  const middle = share + z ** 2 / (2 * samples);
  const reach = z * Math.sqrt((share * (1 - share)) / samples + z ** 2 / (4 * samples ** 2));
  const scale = 1 + z ** 2 / samples;
  return [Math.max(0, (middle - reach) / scale), Math.min(1, (middle + reach) / scale)];
}

/** The functions of a run, the one with most time of its own first: `py-spy top`. */
export function hottest({ root, samples }: CallTree): Hot[] {
  const functions = new Map<string, { place: Place; selfUs: number; totalUs: number }>();
  const above = new Set<string>();
  const next: { readonly call: Call; readonly left: boolean }[] = [];
  const enter = (calls: readonly Call[]) => {
    for (const call of calls.toReversed()) next.push({ call, left: false });
  };
  enter(root.children);
  for (let step = next.pop(); step; step = next.pop()) {
    const { call, left } = step;
    if (left) {
      above.delete(call.key);
      continue;
    }
    const sum = functions.get(call.key) ?? { place: call, selfUs: 0, totalUs: 0 };
    functions.set(call.key, sum);
    sum.selfUs += call.selfUs;
    if (!above.has(call.key)) {
      sum.totalUs += call.totalUs;
      above.add(call.key);
      next.push({ call, left: true });
    }
    enter(call.children);
  }
  const share = (us: number) => (root.totalUs === 0 ? 0 : us / root.totalUs);
  return [...functions.values()]
    .map(({ place: { name, url, line, column, key }, selfUs, totalUs }) => ({
      ...{ name, url, line, column, key, selfUs, totalUs },
      ...{ self: share(selfUs), total: share(totalUs), between: shareInterval(share(selfUs) * samples, samples) },
    }))
    .sort((a, b) => b.selfUs - a.selfUs || b.totalUs - a.totalUs);
}
