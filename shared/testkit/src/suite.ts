import { openGrader } from './grader.ts';
import type { TracedResult } from './trace.ts';

export interface TestResult extends TracedResult {
  /** For a failed test: the claim, the difference, the evidence, one line of code. No stack. */
  readonly error?: string;
}

export interface SuiteResult {
  /** Every test passed or was skipped (with LABS_REQUIRE=all a skip with a reason is a failure, but for `needsMongod` and `needsPython`), none is missing, and nothing failed outside the tests. */
  readonly ok: boolean;
  /** In the order in which they ended. */
  readonly tests: readonly TestResult[];
  /** What went wrong outside any test: a file that does not load, an unhandled rejection, a hang of the whole run. */
  readonly problems: readonly string[];
  /** Why suites were skipped: the reasons of their missing servers. */
  readonly missing: readonly string[];
  /** Duration of the run, from the moment at which it had a lane; of `runSuite` the start of vitest included. */
  readonly ms: number;
}

/** One run of a suite. */
export interface RunOptions {
  /** The implementation under test, relative to the lab's folder (`attempt/index.ts`). Default: what the lab's import map says. */
  readonly impl?: string;
  /** Run only the tests of this very name. None of that name: the result has a problem that says so. */
  readonly testName?: string;
  /** Run only the tests of these very names; each that no test has is a problem. Not together with `testName`. */
  readonly testNames?: readonly string[];
  /** Load only this test file, relative to the lab: with `testName`, the others would start their servers for nothing. */
  readonly file?: string;
  /** Load only these test files, as `file` does for one. */
  readonly files?: readonly string[];
  /** How often a test may fail before it counts as failed; it passes with its first success. Default 1. */
  readonly attempts?: number;
  /** End the run with the first test that fails; what runs beside it is cut off and not reported. Default false. */
  readonly bail?: boolean;
  /** Added to the environment of the tests: `{ LAB_SEED: '7' }`. */
  readonly env?: Readonly<Record<string, string>>;
  /** Ends the run; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Called as each test ends. */
  readonly onTest?: (test: TestResult) => void;
  /** Called with what the tests and servers print, as it comes. */
  readonly onOutput?: (text: string) => void;
  /** Milliseconds for the whole run, the start of servers not counted. Default 5 minutes. */
  readonly deadlineMs?: number;
  /** Milliseconds that a test may block the event loop before its file is ended. Default 6000. */
  readonly blockedMs?: number;
  /** Milliseconds that a test file may take to load, the start of servers not counted. Default 30 000. */
  readonly loadMs?: number;
}

export interface SuiteOptions extends RunOptions {
  /** The lab's folder. */
  readonly dir: string;
}

/** The file to be graded is not there. */
export class MissingImplementationError extends Error {
  override readonly name = 'MissingImplementationError';
  readonly code = 'MISSING_IMPLEMENTATION';

  constructor(dir: string, impl: string) {
    super(`there is no ${impl} in ${dir}: name a file relative to the lab's folder`);
  }
}

/**
 * Runs a lab's suite against an implementation once; `openGrader` is for many. A hang is red and named, also one that
 * blocks the event loop; a leaked handle cannot hold up the run; nothing outlives it.
 * @throws {MissingImplementationError} when `impl` is no file.
 */
export async function runSuite({ dir, ...options }: SuiteOptions): Promise<SuiteResult> {
  const start = performance.now();
  await using grader = openGrader(dir, { once: true });
  const result = await grader.run(options);
  return { ...result, ms: performance.now() - start };
}
