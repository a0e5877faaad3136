// Flaw: a bar is as wide as the function's own time: what only calls others has no width, and they stand on nothing.
// Seen in: https://github.com/perftools/xhgui/issues/207 (the inverse: https://github.com/brendangregg/FlameGraph/pull/54)
// Caught by: a bar is as wide as its share, stands on its caller, and none reaches beyond it
import { type Call, type CallTree, type FlamegraphOptions, flamegraph as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function flamegraph(tree: CallTree, options: FlamegraphOptions = {}): string {
  const narrow = (call: Call): Call => ({ ...call, totalUs: call.selfUs, children: call.children.map(narrow) });
  return reference({ ...tree, root: { ...narrow(tree.root), totalUs: tree.root.totalUs } }, options);
}
