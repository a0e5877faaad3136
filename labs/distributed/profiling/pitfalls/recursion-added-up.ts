// Flaw: the totals of all calls of a function are added, also of those within each other: a recursive one took 500 % of the run.
// Seen in: https://github.com/rbspy/rbspy/issues/23
// Caught by: whoever calls itself is counted once a sample, and two functions of one name, or of none, are two
import { type Call, type CallTree, type Hot, hottest as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function hottest(tree: CallTree): Hot[] {
  const calls = (call: Call): Call[] => [call, ...call.children.flatMap(calls)];
  const all = calls(tree.root);
  return reference(tree).map((row) => {
    const totalUs = all.filter(({ key }) => key === row.key).reduce((sum, call) => sum + call.totalUs, 0);
    return { ...row, totalUs, total: totalUs / tree.root.totalUs };
  });
}
