// Flaw: functions are told apart by their names: all nameless ones of a program are one, and the hottest of all.
// Seen in: https://github.com/DataDog/pprof-nodejs/pull/141
// Caught by: whoever calls itself is counted once a sample, and two functions of one name, or of none, are two
import { type Call, type CallTree, type Hot, hottest as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function hottest(tree: CallTree): Hot[] {
  const named = (call: Call): Call => ({ ...call, key: call.name, children: call.children.map(named) });
  return reference({ ...tree, root: named(tree.root) });
}
