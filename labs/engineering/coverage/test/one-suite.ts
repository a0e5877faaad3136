import type { MutationTestResult } from 'mutation-testing-report-schema/api';

/** The report as it were if only the tests of `testFile` had run: with `disableBail` Stryker notes all who notice a mutant. */
export function oneSuite(report: MutationTestResult, testFile: string): MutationTestResult {
  const suite = report.testFiles?.[testFile];
  const ours = new Set(suite?.tests.map(({ id }) => id));
  const only = (ids: readonly string[] = []) => ids.filter((id) => ours.has(id));
  const files = Object.entries(report.files).map(([path, file]) => {
    const mutants = file.mutants.map((mutant) => {
      if (mutant.status === 'Ignored') return mutant;
      const [coveredBy, killedBy] = [only(mutant.coveredBy), only(mutant.killedBy)];
      const status = killedBy.length > 0 ? 'Killed' : coveredBy.length > 0 ? 'Survived' : 'NoCoverage';
      return { ...mutant, coveredBy, killedBy, status } as const;
    });
    return [path, { ...file, mutants }];
  });
  return { ...report, files: Object.fromEntries(files), testFiles: suite ? { [testFile]: suite } : {} };
}
