// Flaw: counts are kept by name: the two functions of one name are one, with the calls of both.
// Seen in: https://github.com/visgl/luma.gl/pull/2912
// Caught by: calls are counted, not estimated: 100 of login, 80 of checkPassword, and two of one name apart
import { type CallCount, callCounts as reference } from '../src/index.ts';

export * from '../src/index.ts';

export async function callCounts<T>(
  fn: () => T | Promise<T>,
  options: { readonly accept?: (url: string) => boolean } = {},
): Promise<{ value: T; calls: CallCount[] }> {
  const { value, calls } = await reference(fn, options);
  const byName = new Map<string, CallCount>();
  for (const call of calls) {
    const same = byName.get(call.name);
    byName.set(call.name, same ? { ...same, calls: same.calls + call.calls } : call);
  }
  return { value, calls: [...byName.values()] };
}
