// Flaw: the suite runs in its one order, and whoever ran just before the test that failed is to blame.
// Seen in: https://github.com/pytest-dev/pytest-randomly/issues/184
// Caught by: a test that fails only behind another, or only without it, is named with that other
import type { Entanglement, RunInOrder } from '../src/isolation.ts';

export * from '../src/index.ts';

export async function entanglements(tests: readonly string[], run: RunInOrder): Promise<Entanglement[]> {
  const failed = await run(tests);
  return tests.flatMap((test, place): Entanglement[] => {
    const other = tests[place - 1];
    return failed.has(test) && other !== undefined ? [{ test, how: 'suffers', other }] : [];
  });
}
