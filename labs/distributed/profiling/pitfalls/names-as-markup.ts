// Flaw: names go into the SVG as they are: `<anonymous>` breaks the picture, and a name from a foreign profile runs as a script.
// Seen in: https://github.com/KDAB/hotspot/issues/381, https://github.com/python/cpython/issues/153840
// Caught by: whatever a function is called, its name is text
import { type CallTree, type FlamegraphOptions, flamegraph as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function flamegraph(tree: CallTree, options: FlamegraphOptions = {}): string {
  return reference(tree, options).replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)));
}
