// Flaw: what no test runs is listed as what tests ran and did not notice, so one looks for a missing look where a test is missing.
// Seen in: https://github.com/stryker-mutator/mutation-testing-elements/issues/1277
// Caught by: the survivors of a line are one missing test, with the tests that ran it
import { type Equivalent, type Mutant, missingTests as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function missingTests(mutants: readonly Mutant[], equivalents?: readonly Equivalent[]) {
  const lumped = mutants.map((mutant) =>
    mutant.status === 'NoCoverage' ? { ...mutant, status: 'Survived' as const } : mutant,
  );
  return reference(lumped, equivalents);
}
