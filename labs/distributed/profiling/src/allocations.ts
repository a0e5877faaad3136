import type { HeapProfiler } from 'node:inspector';
import { type Place, placeOf } from './call-tree.ts';

export interface Allocation extends Place {
  /** Estimated bytes of what was allocated here and is still alive. */
  readonly bytes: number;
  /** `bytes` as a share of all that is still alive, 0 to 1. */
  readonly share: number;
  /** Names from the outermost caller to the function itself, for the path with most bytes. */
  readonly stack: readonly string[];
}

interface Met {
  readonly node: HeapProfiler.SamplingHeapProfileNode;
  readonly place: Place;
  readonly caller: Met | undefined;
}

/** Who allocated what has stayed, the most first. */
export function allocations({ head }: HeapProfiler.SamplingHeapProfile): Allocation[] {
  const sites = new Map<string, { bytes: number; most: Met }>();
  let all = 0;
  const meet = (caller?: Met) => (node: HeapProfiler.SamplingHeapProfileNode) => ({
    node,
    place: placeOf(node.callFrame),
    caller,
  });
  // No recursion, since a profile may be deeper than the stack of whoever reads it.
  const next: Met[] = head.children.map(meet());
  for (const met of next) {
    const { node, place } = met;
    for (const child of node.children) next.push(meet(met)(child));
    if (node.selfSize <= 0) continue;
    all += node.selfSize;
    const { bytes, most } = sites.get(place.key) ?? { bytes: 0, most: met };
    sites.set(place.key, { bytes: bytes + node.selfSize, most: node.selfSize > most.node.selfSize ? met : most });
  }
  return [...sites.values()]
    .map(({ bytes, most }) => ({ ...most.place, bytes, share: bytes / all, stack: stackOf(most) }))
    .sort((a, b) => b.bytes - a.bytes);
}

function stackOf(met: Met): string[] {
  const names: string[] = [];
  for (let at: Met | undefined = met; at; at = at.caller) names.push(at.place.name);
  return names.reverse();
}
