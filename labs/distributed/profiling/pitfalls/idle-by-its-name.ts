// Flaw: V8's own entries are told by their names alone: whatever a script calls "(idle)" is no work any more.
// Seen in: https://github.com/jlfwong/speedscope/issues/176 (its importer knows these entries by functionName alone)
// Caught by: waiting is no work, garbage collection is, and a function that calls itself (idle) is a function
import type { Profiler } from 'node:inspector';
import { type CallTree, callTree as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function callTree(profile: Profiler.Profile): CallTree {
  const nodes = profile.nodes.map((node) =>
    node.callFrame.functionName === '(idle)'
      ? { ...node, callFrame: { ...node.callFrame, url: '', lineNumber: -1 } }
      : node,
  );
  return reference({ ...profile, nodes });
}
