import type { SuiteResult } from './suite.ts';

export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** A problem outside any test counts as one failure: a suite that could not load must not read "0 failed". */
export function tally({ tests, problems }: Pick<SuiteResult, 'tests' | 'problems'>): Tally {
  const count = (state: string): number => tests.filter((test) => test.state === state).length;
  return { passed: count('passed'), failed: count('failed') + problems.length, skipped: count('skipped') };
}
