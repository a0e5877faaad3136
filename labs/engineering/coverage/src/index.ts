export { describeMissing } from './describe.ts';
export { type Changes, parseDiff } from './diff.ts';
export { type ChangedFile, type DiffCoverage, type DiffCoverageOptions, diffCoverage } from './diff-coverage.ts';
export {
  CoverageError,
  DiffError,
  FloorError,
  InvalidArgumentError,
  LcovError,
  MutationReportError,
  UnreadableError,
} from './errors.ts';
export { raiseFloor, readFloor } from './floor-file.ts';
export { type Coverage, type LcovOptions, mergeCoverage, parseLcov } from './lcov.ts';
export {
  type Equivalent,
  type MissingTest,
  type MissingTests,
  missingTests,
} from './missing-tests.ts';
export { type Mutant, type MutantStatus, readMutants } from './mutants.ts';
export { type Floor, type Measures, type Ratchet, type Reading, ratchet } from './ratchet.ts';
export { type MutationScore, mutationScore } from './score.ts';
export { hundredths, percent, type Share } from './share.ts';
export type { Ignore } from './source.ts';
