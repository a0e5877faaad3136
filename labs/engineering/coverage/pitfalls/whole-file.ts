// Flaw: a changed file counts with all of its lines, so three untested lines drown in two thousand old ones.
// Seen in: https://github.com/manashmandal/litecov/issues/9
// Caught by: changed-line coverage counts the changed lines that can run, and no other
import { type Changes, type Coverage, type DiffCoverageOptions, diffCoverage as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function diffCoverage(coverage: Coverage, changes: Changes, options?: DiffCoverageOptions) {
  const whole = [...changes].map(([path, added]) => {
    const known = [...(coverage.get(path)?.keys() ?? [])].map((line) => [line, added.get(line) ?? ''] as const);
    return [path, known.length > 0 ? new Map(known) : added] as const;
  });
  return reference(coverage, new Map(whole), options);
}
