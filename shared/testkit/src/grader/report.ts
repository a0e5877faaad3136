import { serversStart } from '../describe-with.ts';
import { maySkip } from '../stand-in.ts';
import type { SuiteResult, TestResult } from '../suite.ts';
import type { TracedResult, TraceEvent } from '../trace.ts';

/** What is known of one run of a suite, put together from the events of its files. */
export class Report {
  readonly #onTest: (test: TestResult) => void;
  readonly #onOutput: (text: string) => void;
  readonly #tests: TestResult[] = [];
  readonly #problems: string[] = [];
  readonly #missing: string[] = [];
  readonly #evidence = new Map<string, string[]>();

  constructor(onTest: (test: TestResult) => void, onOutput: (text: string) => void) {
    this.#onTest = onTest;
    this.#onOutput = onOutput;
  }

  take(event: TraceEvent): void {
    if (event.type === 'evidence') {
      this.#evidence.set(event.id, [...(this.#evidence.get(event.id) ?? []), event.text]);
    } else if (event.type === 'result') this.add(event.result, event.id);
    else if (event.type === 'missing') this.#missing.push(event.reason);
    else if (event.type === 'problem') this.#problems.push(event.text);
    else if (event.type === 'log') this.#onOutput(event.text);
  }

  /** @param id the test whose evidence belongs to it */
  add(traced: TracedResult, id: string): void {
    const result = required(traced);
    const evidence = this.#evidence.get(id) ?? [];
    const test =
      result.error === undefined || evidence.length === 0
        ? result
        : { ...result, error: insertEvidence(result.error, evidence) };
    this.#tests.push(test);
    this.#onTest(test);
  }

  /**
   * @param wanted the names of the tests that were to run; undefined means all
   * @param complete it came to its end: only then is a name nobody's
   */
  result(wanted: readonly string[] | undefined, complete: boolean, ms: number): SuiteResult {
    const tests = wanted === undefined ? this.#tests : this.#tests.filter(({ name }) => wanted.includes(name));
    const problems = [...this.#problems];
    if (problems.length === 0 && this.#missing.length === 0 && complete) {
      const nobodys = (wanted ?? []).filter((name) => !tests.some((test) => test.name === name));
      const start = this.#tests.find(({ name, state }) => name === serversStart && state === 'failed');
      if (nobodys.length > 0 && start) problems.push(`the servers of the suite did not start: ${start.error ?? ''}`);
      else problems.push(...nobodys.map((name) => `no test is named "${name}"`));
    }
    if (wanted === undefined && tests.length === 0 && problems.length === 0) problems.push('the suite has no test');
    return {
      ok: problems.length === 0 && tests.every((test) => test.state !== 'failed'),
      tests,
      problems,
      missing: this.#missing,
      ms,
    };
  }
}

/** Where everything must be at hand (CI), a test that gives a reason not to run has failed, but for what no CI has. */
function required(result: TracedResult): TracedResult {
  if (result.state !== 'skipped' || result.note === undefined || maySkip(result.note)) return result;
  return { ...result, state: 'failed', error: `skipped, which LABS_REQUIRE=all forbids: ${result.note}` };
}

function insertEvidence(error: string, evidence: readonly string[]): string {
  const lines = error.split('\n');
  const at = lines.findLastIndex((line) => line.startsWith('at '));
  lines.splice(at < 0 ? lines.length : at, 0, ...evidence);
  return lines.join('\n');
}
