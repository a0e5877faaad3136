import { runSuite, type SuiteOptions, type SuiteResult } from '@shared/testkit';

/** Runs the suite of a lab. The tests of the gates give one of their own. */
export type Suites = (options: SuiteOptions) => Promise<SuiteResult>;

export const suites: Suites = runSuite;
