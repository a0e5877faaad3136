import { styleText } from 'node:util';
import { type SuiteResult, type Tally, tally } from '@shared/testkit';
import { plural, seconds } from '../text.ts';

/** The result of one package's suite, fresh or out of the cache; undefined when it left none. */
export interface Verdict {
  readonly name: string;
  readonly result: SuiteResult | undefined;
  readonly cached: boolean;
}

/** A suite in a line, and below it what a reader must know: failures with their evidence, skips with their reason. */
export function verdictLines({ name, result, cached }: Verdict): string {
  if (result === undefined) return `${styleText('red', '✗')} ${name}  did not run to its end`;
  const { passed, failed, skipped } = tally(result);
  const sign = failed > 0 ? styleText('red', '✗') : passed === 0 ? styleText('yellow', '↷') : styleText('green', '✓');
  const counts = [
    `${passed} passed`,
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(skipped > 0 ? [`${skipped} skipped`] : []),
  ];
  const when = cached ? 'unchanged since it last ran' : seconds(result.ms);
  return [
    `${sign} ${name.padEnd(24)} ${counts.join(', ')}  ${styleText('dim', when)}`,
    ...result.problems.map((problem) => `  ${styleText('red', '✗')} ${indented(problem)}`),
    ...result.tests
      .filter(({ state }) => state === 'failed')
      .map((test) => `  ${styleText('red', '✗')} ${test.name}\n      ${indented(test.error ?? '')}`),
    ...skips(result),
  ].join('\n');
}

/** One entry a reason: a missing server is missing for every file of a suite. */
function skips({ tests }: SuiteResult): readonly string[] {
  const byReason = Map.groupBy(
    tests.filter(({ state }) => state === 'skipped'),
    ({ note }) => note ?? 'marked so in the suite',
  );
  return [...byReason].map(([reason, skipped]) => {
    const names = [...new Set(skipped.map(({ name }) => name))].join(' · ');
    return `  ${styleText('yellow', '↷')} ${names}\n      skipped: ${indented(reason)}`;
  });
}

function indented(text: string): string {
  return text.replaceAll('\n', '\n      ');
}

/** All suites together; a suite without a result counts as a failure. */
export function total(verdicts: readonly Verdict[]): Tally {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const { result } of verdicts) {
    const own = result ? tally(result) : { passed: 0, failed: 1, skipped: 0 };
    sum.passed += own.passed;
    sum.failed += own.failed;
    sum.skipped += own.skipped;
  }
  return sum;
}

/** The end of the output: one sentence for people, then the plain line that programs look for. */
export function closing(verdicts: readonly Verdict[]): string {
  const { passed, failed, skipped } = total(verdicts);
  const bad = verdicts.filter(({ result }) => !result?.ok).map(({ name }) => name);
  const silent = verdicts.filter(({ result }) => result?.ok && tally(result).passed === 0).map(({ name }) => name);
  const tested = verdicts.length - silent.length;
  const sound =
    tested > 0 ? `Every law that was tested holds, in ${plural(tested, 'suite')}.` : 'Nothing could be tested.';
  return [
    bad.length > 0 ? `Look at: ${bad.join(', ')}.` : sound,
    ...(silent.length > 0
      ? [`Not tested here: ${silent.join(', ')}. The reason stands above; \`pnpm lab doctor\` helps.`]
      : []),
    `${passed} passed, ${failed} failed, ${skipped} skipped`,
  ].join('\n');
}
