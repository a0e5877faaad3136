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

/** Who allocated what has stayed, the most first. */
export function allocations({ head }: HeapProfiler.SamplingHeapProfile): Allocation[] {
  const sites = new Map<string, { place: Place; bytes: number; most: number; stack: readonly string[] }>();
  let all = 0;
  const visit = (node: HeapProfiler.SamplingHeapProfileNode, above: readonly string[]): void => {
    const place = placeOf(node.callFrame);
    const stack = [...above, place.name];
    if (node.selfSize > 0) {
      const site = sites.get(place.key) ?? { place, bytes: 0, most: 0, stack };
      const leads = node.selfSize > site.most;
      sites.set(place.key, {
        place,
        bytes: site.bytes + node.selfSize,
        most: leads ? node.selfSize : site.most,
        stack: leads ? stack : site.stack,
      });
    }
    all += node.selfSize;
    for (const child of node.children) visit(child, stack);
  };
  for (const child of head.children) visit(child, []);
  return [...sites.values()]
    .map(({ place, bytes, stack }) => ({ ...place, bytes, share: bytes / all, stack }))
    .sort((a, b) => b.bytes - a.bytes);
}
