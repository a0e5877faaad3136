export { type Chaos, type ChaosOptions, chaos, type Fault, type FaultyLink, type FaultyNode } from './chaos.ts';
export { describeWith, type Factories, type Started } from './describe-with.ts';
export { History } from './history.ts';
export { ManualClock } from './manual-clock.ts';
export { overlaps, type Span } from './overlaps.ts';
export { type Random, random } from './random.ts';
export { MissingImplementationError, runSuite, type SuiteOptions, type SuiteResult, type TestResult } from './suite.ts';
export { type Tally, tally } from './tally.ts';
export { DeadlineError, type UntilOptions, until } from './until.ts';
