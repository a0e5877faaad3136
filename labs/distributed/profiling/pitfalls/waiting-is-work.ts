// Flaw: (idle) is an entry like any other: a server that waits seems to be busy with waiting, and all shares shrink.
// Seen in: https://github.com/grafana/pyroscope-nodejs/issues/20
// Caught by: waiting is no work, garbage collection is, and a function that calls itself (idle) is a function
import type { Profiler } from 'node:inspector';
import { type CallTree, callTree as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function callTree(profile: Profiler.Profile): CallTree {
  const nodes = profile.nodes.map((node) => ({
    ...node,
    callFrame: { ...node.callFrame, url: node.callFrame.url || 'v8:' },
  }));
  return { ...reference({ ...profile, nodes }), idleUs: 0 };
}
