// Flaw: a file is matched by how its path ends, so the tests of one `index.ts` cover another.
// Seen in: https://github.com/manashmandal/litecov/issues/13
// Caught by: a file is matched by its whole path
import { type Changes, type Coverage, type DiffCoverageOptions, diffCoverage as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function diffCoverage(coverage: Coverage, changes: Changes, options?: DiffCoverageOptions) {
  const matched = [...changes.keys()].flatMap((path) => {
    const found = [...coverage].find(([known]) => known.endsWith(path) || path.endsWith(known));
    return found ? [[path, found[1]] as const] : [];
  });
  return reference(new Map(matched), changes, options);
}
