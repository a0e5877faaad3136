import { runSuite, type SuiteOptions, type SuiteResult } from '@shared/testkit';

/** Runs the suite of a lab. The tests of the gates give one of their own. */
export type Suites = (options: SuiteOptions) => Promise<SuiteResult>;

export const suites: Suites = runSuite;

/** A run of a whole suite is made once, however many gates ask for it. */
export function remembered(run: Suites): Suites {
  const known = new Map<string, Promise<SuiteResult>>();
  return (options) => {
    const { dir, impl, ...more } = options;
    if (Object.keys(more).length > 0) return run(options);
    const id = JSON.stringify([dir, impl]);
    const result = known.get(id) ?? run(options);
    known.set(id, result);
    return result;
  };
}
