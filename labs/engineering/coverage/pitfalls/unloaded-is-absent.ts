// Flaw: a file that the report doesn't know is passed over, so the surest way to a good figure is to test nothing of it.
// Seen in: https://github.com/thedavidweng/OpenKara/pull/84
// Caught by: a changed file that no test has loaded is not covered
import { type Changes, type Coverage, type DiffCoverageOptions, diffCoverage as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function diffCoverage(coverage: Coverage, changes: Changes, options?: DiffCoverageOptions) {
  return reference(coverage, new Map([...changes].filter(([path]) => coverage.has(path))), options);
}
