import type { Changes } from './diff.ts';
import type { Coverage } from './lcov.ts';
import type { Share } from './share.ts';
import { guess, type Ignore, ignoresIn, isCode } from './source.ts';

export interface DiffCoverageOptions {
  /**
   * Whether a changed file that the report doesn't know is code that tests should load. Default: `.js`, `.ts` and their
   * kin, but no tests, declarations, or configuration.
   */
  readonly counts?: (path: string) => boolean;
}

export interface ChangedFile {
  readonly path: string;
  /** False: no test has loaded it, so the report doesn't know it. */
  readonly loaded: boolean;
  readonly covered: readonly number[];
  /** The changed lines that no test ran. Of a file that wasn't loaded, all that are neither comment nor mere brackets. */
  readonly missed: readonly number[];
}

/** The share of the changed lines that tests ran. */
export interface DiffCoverage extends Share {
  readonly files: readonly ChangedFile[];
  /** What the change takes out of the count, and why. */
  readonly ignores: readonly Ignore[];
}

/**
 * Which of the lines that a change adds did run. The report must be of the new version: numbers are all it has.
 */
export function diffCoverage(
  coverage: Coverage,
  changes: Changes,
  { counts = isCode }: DiffCoverageOptions = {},
): DiffCoverage {
  const files: ChangedFile[] = [];
  const ignores: Ignore[] = [];
  for (const [path, added] of changes) {
    const hits = coverage.get(path);
    if (!hits && !counts(path)) continue;
    const lines = hits ? [...added.keys()].filter((line) => hits.has(line)) : guess(added);
    const ran = (line: number) => (hits?.get(line) ?? 0) > 0;
    for (const ignore of ignoresIn(path, added)) ignores.push(ignore);
    if (lines.length === 0) continue;
    const [covered, missed] = [lines.filter(ran), lines.filter((line) => !ran(line))];
    files.push({ path, loaded: hits !== undefined, covered, missed });
  }
  const sum = (of: 'covered' | 'missed') => files.reduce((all, file) => all + file[of].length, 0);
  return { covered: sum('covered'), total: sum('covered') + sum('missed'), files, ignores };
}
