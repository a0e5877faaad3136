import { stripVTControlCharacters } from 'node:util';
import { InvalidArgumentError, ReportError } from './errors.ts';

/** `flaky`: it failed, and another try passed. That is no pass: the next user has no retry. */
export type Verdict = 'passed' | 'flaky' | 'failed' | 'skipped';

export interface Told {
  /** The same in each run: file, titles from the outermost on, project. */
  readonly name: string;
  readonly verdict: Verdict;
  /** How each attempt ended: `failed`, `timedOut`, `passed`. */
  readonly attempts: readonly string[];
  /** The first line of what the first failure says. */
  readonly error?: string;
}

/**
 * Each test of a run with its verdict, from the report of `--reporter=json`.
 * @throws ReportError when it is none, and when something failed outside the tests: a file that doesn't load has none to fail
 */
export function readReport(report: unknown): Told[] {
  const found: Told[] = [];
  const walk = (suite: unknown, above: readonly string[], isFile: boolean) => {
    const { title = '', file = '', suites = [], specs = [] } = fieldsOf(suite);
    const path = isFile ? [String(file)] : [...above, String(title)];
    for (const each of list(specs)) {
      const { title: name, tests } = fieldsOf(each);
      for (const test of list(tests)) found.push(tell(test, [...path, String(name)]));
    }
    for (const each of list(suites)) walk(each, path, false);
  };
  const { suites: files, errors = [] } = fieldsOf(report);
  for (const suite of list(files)) walk(suite, [], true);
  const [broken] = list(errors);
  if (broken !== undefined)
    throw new ReportError(`failed outside the tests: ${stripVTControlCharacters(String(fieldsOf(broken)['message']))}`);
  return found;
}

function tell(test: unknown, titles: readonly string[]): Told {
  const { expectedStatus, projectName = '', results } = fieldsOf(test);
  const attempts = list(results).map((each) => String(fieldsOf(each)['status']));
  const name = [...titles, ...(projectName === '' ? [] : [`[${projectName}]`])].join(' › ');
  const errors = list(results).flatMap((each) => list(fieldsOf(each)['errors'] ?? []));
  const said = errors.map((each) => fieldsOf(each)['message']).find((message) => typeof message === 'string');
  const verdict = verdictOf(attempts, String(expectedStatus));
  return {
    name,
    verdict,
    attempts,
    ...(said !== undefined && { error: stripVTControlCharacters(said).split('\n', 1)[0] ?? '' }),
  };
}

/** Of all attempts, not of the last one: a test that didn't run has passed nothing, and one that was cut off neither. */
export function verdictOf(attempts: readonly string[], expected = 'passed'): Verdict {
  const ran = attempts.filter((each) => each !== 'skipped');
  if (ran.length === 0) return 'skipped';
  if (ran.every((each) => each === expected)) return 'passed';
  return ran.at(-1) === expected ? 'flaky' : 'failed';
}

export interface Rate {
  readonly failed: number;
  readonly runs: number;
  /** Of these runs. */
  readonly share: number;
  /** What the real share can be, with that confidence: none of 50 still allows 5.8 %. */
  readonly atMost: number;
}

/**
 * How flaky something is that failed `failed` times of `runs`, by Clopper and Pearson's exact bound (one-sided).
 * @param confidence default 0.95
 */
export function rate(failed: number, runs: number, confidence = 0.95): Rate {
  if (![failed, runs].every(Number.isSafeInteger) || failed < 0 || runs < 1 || runs > 1e6 || failed > runs)
    throw new InvalidArgumentError(`${failed} of ${runs}: whole numbers, of 1 to 1,000,000 runs`);
  if (!(confidence > 0 && confidence < 1))
    throw new InvalidArgumentError(`a confidence of ${confidence}: between 0 and 1`);
  let [low, high] = [failed / runs, 1];
  // The largest share with which so few failures are still no surprise.
  for (let step = 0; step < 60 && failed < runs; step++) {
    const middle = (low + high) / 2;
    if (chanceOfAtMost(failed, runs, middle) > 1 - confidence) low = middle;
    else high = middle;
  }
  return { failed, runs, share: failed / runs, atMost: failed === runs ? 1 : high };
}

/** Of at most `k` failures in `n` runs, each failing with `p`. In logarithms: 0.5 to the 2000th is 0 for a computer. */
function chanceOfAtMost(k: number, n: number, p: number): number {
  let term = n * Math.log1p(-p);
  let sum = Math.exp(term);
  for (let i = 1; i <= k; i++) {
    term += Math.log((n - i + 1) / i) + Math.log(p) - Math.log1p(-p);
    sum += Math.exp(term);
  }
  return sum;
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw new ReportError(`this is no report of --reporter=json: ${typeof value} where an object was due`);
}

function list(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new ReportError(`this is no report of --reporter=json: ${typeof value} where a list was due`);
}
