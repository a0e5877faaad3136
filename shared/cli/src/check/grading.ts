import { join, relative } from 'node:path';
import type { SuiteResult } from '@shared/testkit';
import { type Pitfall, readPitfalls } from '../anatomy.ts';
import type { Lab } from '../labs.ts';
import type { Finding, Gate, GateContext } from './gate.ts';
import { pooled } from './pooled.ts';

/** Milliseconds for a lab's grading; above it, a warning. */
const budgetMs = 15_000;

/**
 * The proof that a suite verifies understanding: it passes the reference, fails the untouched exercise, and fails every
 * pitfall in the very test that the pitfall names.
 */
export const grading: Gate = {
  name: 'grading',
  why: 'a suite that accepts nonsense, or that nobody can pass, is noticed before a learner meets it',
  scope: 'lab',
  async run(context) {
    const findings: Finding[] = [];
    for (const lab of context.labs) findings.push(...(await gradeLab(lab, context)));
    return findings;
  },
};

async function gradeLab(lab: Lab, { root, suites }: GateContext): Promise<readonly Finding[]> {
  const start = performance.now();
  const at = (file: string): string => relative(root, join(lab.dir, file));
  const [reference, untouched] = await Promise.all([
    suites({ dir: lab.dir }),
    suites({ dir: lab.dir, impl: 'exercise/index.ts' }),
  ]);
  if (reference.missing.length > 0) {
    const severity = process.env['LABS_REQUIRE'] === 'all' ? 'error' : 'warning';
    const what = `not graded, a server is missing: ${reference.missing.join('; ')}`;
    return [{ where: at('.'), what, remedy: 'see `pnpm lab doctor`', severity }];
  }
  const broken = judgeReference(at('src/index.ts'), reference);
  // Everything below is measured against a suite that the reference passes.
  if (broken.length > 0) return broken;
  const pitfalls = await pooled(await readPitfalls(lab.dir), 2, async (pitfall) => {
    const law = reference.tests.find(({ name }) => name === pitfall.caughtBy);
    if (law === undefined) return unknownTest(at(pitfall.file), pitfall);
    if (law.state === 'skipped') return [];
    const run = await suites({ dir: lab.dir, impl: pitfall.file, testName: law.name, file: law.file });
    return judgePitfall(at(pitfall.file), pitfall, run);
  });
  const findings = [
    ...judgeSkips(at('test'), reference),
    ...judgeExercise(at('exercise/index.ts'), untouched),
    ...pitfalls.flat(),
  ];
  const ms = performance.now() - start;
  if (ms > budgetMs) {
    const what = `grading takes ${(ms / 1000).toFixed(1)} s, and ${budgetMs / 1000} s are the limit`;
    findings.push({ where: at('.'), what, remedy: 'make the slow laws quicker', severity: 'warning' });
  }
  return findings;
}

function judgeReference(where: string, { tests, problems }: SuiteResult): Finding[] {
  const remedy = 'mend the reference or the law: nothing can be graded before';
  return [
    ...problems.map((what) => ({ where, what, remedy })),
    ...tests
      .filter(({ state }) => state === 'failed')
      .map(({ name, error }) => ({ where, what: `the reference fails "${name}"\n${error ?? ''}`, remedy })),
  ];
}

/** A law that is skipped with a reason (faults cannot be injected here) is judged elsewhere; one without is forgotten. */
function judgeSkips(where: string, { tests }: SuiteResult): Finding[] {
  const tolerant = process.env['LABS_REQUIRE'] !== 'all';
  return tests
    .filter(({ state }) => state === 'skipped')
    .map(({ name, note }) => ({
      where,
      what: `"${name}" is skipped: ${note ?? 'it is marked so in the suite'}`,
      remedy: note === undefined ? 'a law is true or it is not: run it, or remove it' : 'run the gate where it is not',
      severity: note !== undefined && tolerant ? ('warning' as const) : ('error' as const),
    }));
}

function judgeExercise(where: string, { ok, tests, problems }: SuiteResult): Finding[] {
  const hung = tests.filter(({ error }) => error?.startsWith('hangs'));
  if (problems.length > 0) {
    const remedy =
      'the stub must load, and only a law may call what is not written yet, no hook: a learner sees red laws';
    return problems.map((problem) => ({ where, what: `the suite breaks on it: ${problem}`, remedy }));
  }
  if (ok) {
    const what = 'the untouched exercise passes the suite: there is nothing to do';
    return [{ where, what, remedy: 'make the stub throw; then strengthen the laws' }];
  }
  return hung.map(({ name }) => ({
    where,
    what: `"${name}" hangs on the untouched exercise`,
    remedy: 'make the stub throw at once instead of never answering',
  }));
}

function judgePitfall(where: string, { caughtBy }: Pitfall, { tests, problems }: SuiteResult): Finding[] {
  if (problems.length > 0) {
    const remedy = 'a pitfall has one flaw, and it loads: let the law catch it by its behaviour';
    return problems.map((problem) => ({
      where,
      what: `breaks outside the law that should catch it: ${problem}`,
      remedy,
    }));
  }
  if (tests.some(({ state }) => state === 'failed')) return [];
  return [
    {
      where,
      what: `"${caughtBy}" lets this pitfall pass`,
      remedy: 'strengthen the law until it fails here, or name the law that does catch it in "Caught by"',
    },
  ];
}

function unknownTest(where: string, { caughtBy }: Pitfall): Finding[] {
  const what = caughtBy === undefined ? 'names no law in "Caught by"' : `no law is called "${caughtBy}"`;
  return [{ where, what, remedy: 'write the exact name of the law that catches it' }];
}
