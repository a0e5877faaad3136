// Flaw: of a file that several shards ran, the last one's report counts.
// Seen in: https://github.com/cobertura/cobertura/issues/281
// Caught by: merged shards are what one run of all tests would be
import type { Coverage } from '../src/index.ts';

export * from '../src/index.ts';

export function mergeCoverage(reports: Iterable<Coverage>): Coverage {
  return new Map([...reports].flatMap((report) => [...report]));
}
