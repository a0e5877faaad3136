export { type Chaos, type ChaosOptions, chaos, type Fault, type FaultyLink, type FaultyNode } from './chaos.ts';
export {
  type Consensus,
  type ContestOptions,
  consensus,
  contest,
  ratio,
  ratios,
  type Standing,
  standingsTable,
} from './contest.ts';
export { describeWith, type Factories, type Started, serversStart } from './describe-with.ts';
export { type Detour, type DetourOptions, detour } from './detour.ts';
export { type Grader, GraderDiedError, type GraderOptions, openGrader } from './grader.ts';
export { History } from './history.ts';
export { type LateAnswers, lateAnswers } from './late-answers.ts';
export { ManualClock } from './manual-clock.ts';
export { type Outcome, outcome } from './outcome.ts';
export { overlaps, type Span } from './overlaps.ts';
export { part } from './part.ts';
export { patient } from './patience.ts';
export { type Random, random } from './random.ts';
export { maySkip, needsMongod, needsPython } from './stand-in.ts';
export { type StillLoading, stillLoading } from './still-loading.ts';
export {
  MissingImplementationError,
  type RunOptions,
  runSuite,
  type SuiteOptions,
  type SuiteResult,
  type TestResult,
} from './suite.ts';
export { type Tally, tally } from './tally.ts';
export { unhandledRejections } from './unhandled-rejections.ts';
export { DeadlineError, type UntilOptions, until } from './until.ts';
export { whileBusy } from './while-busy.ts';
