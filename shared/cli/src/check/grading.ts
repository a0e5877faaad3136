import { join, relative } from 'node:path';
import { maySkip, needsMongod, type SuiteResult } from '@shared/testkit';
import type { Pitfall } from '../anatomy.ts';
import type { Lab } from '../labs.ts';
import type { Finding, Gate, GateContext } from './gate.ts';
import { besides, type LabGrading, type PitfallRun } from './gradings.ts';
import { pooled } from './pooled.ts';

/** Milliseconds for a lab's grading; above it, a warning. */
const budgetMs = 10_000;
/** A law that takes longer is named there. */
const slowMs = 1000;

/**
 * The proof that a suite verifies understanding: it passes the reference, fails the untouched exercise, and fails every
 * pitfall in the very test that the pitfall names.
 */
export const grading: Gate = {
  name: 'grading',
  why: 'a suite that accepts nonsense, or that nobody can pass, is noticed before a learner meets it',
  scope: 'lab',
  async run(context) {
    return (await pooled(context.labs, besides, (lab) => gradeLab(lab, context))).flat();
  },
};

async function gradeLab(lab: Lab, { root, gradings }: GateContext): Promise<readonly Finding[]> {
  const at = (file: string): string => relative(root, join(lab.dir, file));
  const graded = await gradings.of(lab);
  const { reference, untouched, pitfalls } = graded;
  if (reference.missing.length > 0) {
    const severity = reference.missing.every(maySkip) ? 'warning' : 'error';
    const what = `not graded, a server is missing: ${reference.missing.join('; ')}`;
    return [{ where: at('.'), what, remedy: 'see `pnpm lab doctor`', severity }];
  }
  const broken = judgeReference(at('src/index.ts'), reference);
  // Everything below is measured against a suite that the reference passes.
  if (broken.length > 0) return broken;
  return [
    ...judgeSkips(at('test'), reference),
    ...judgeUnproven(at('package.json'), lab, reference),
    ...judgeExercise(at('exercise/index.ts'), untouched),
    ...pitfalls.flatMap((run) => judgePitfall(at(run.pitfall.file), run)),
    ...judgeCost(at('.'), graded),
  ];
}

function judgeCost(where: string, { reference, proven, untouched, pitfalls, ms }: LabGrading): Finding[] {
  if (ms <= budgetMs) return [];
  const runs = [
    ...(proven ? [] : reference.tests).map(({ name, ms }) => ({ ms, law: `"${name}"` })),
    ...untouched.tests.map(({ name, ms }) => ({ ms, law: `"${name}" on the exercise` })),
    ...pitfalls.flatMap(({ pitfall, result }) =>
      (result?.tests ?? []).map(({ name, ms }) => ({ ms, law: `"${name}" on ${pitfall.name}` })),
    ),
  ];
  const slow = runs.filter((run) => run.ms >= slowMs).sort((a, b) => b.ms - a.ms);
  const said = slow.slice(0, 5).map((run) => `\n${(run.ms / 1000).toFixed(1)} s  ${run.law}`);
  const suite = proven ? '' : `${(reference.ms / 1000).toFixed(1)} s of them for the suite on the reference, `;
  const what = `grading takes ${(ms / 1000).toFixed(1)} s, ${suite}and ${budgetMs / 1000} s are the limit${said.join('')}`;
  return [{ where, what, remedy: 'make the slow laws quicker', severity: 'warning' }];
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
  return tests
    .filter(({ state }) => state === 'skipped')
    .map(({ name, note }) => ({
      where,
      what: `"${name}" is skipped: ${note ?? 'it is marked so in the suite'}`,
      remedy: note === undefined ? 'a law is true or it is not: run it, or remove it' : 'run the gate where it is not',
      severity: note !== undefined && maySkip(note) ? ('warning' as const) : ('error' as const),
    }));
}

/** What the index tells of a lab's laws that have never run must be true. */
function judgeUnproven(where: string, { unproven = 0 }: Lab, { tests }: SuiteResult): Finding[] {
  const skipped = tests.filter(({ state, note }) => state === 'skipped' && note?.startsWith(needsMongod('')));
  if (skipped.length === unproven) return [];
  if (skipped.length === 0) {
    const what = `says that ${unproven} laws have run on no mongod yet, and here they all ran`;
    return [{ where, what, remedy: 'take "unproven" out of it, and tell the README', severity: 'warning' }];
  }
  const what = `${skipped.length} laws need a mongod, and it says ${unproven}`;
  return [{ where, what, remedy: `write "lab": { "unproven": ${skipped.length} }` }];
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

function judgePitfall(where: string, { pitfall, law, result }: PitfallRun): Finding[] {
  if (law === undefined) return unknownTest(where, pitfall);
  if (result === undefined) return [];
  const { tests, problems } = result;
  if (problems.length > 0) {
    const remedy = 'a pitfall has one flaw, and it loads: let the law catch it by its behaviour';
    return problems.map((problem) => ({
      where,
      what: `breaks outside the law that should catch it: ${problem}`,
      remedy,
    }));
  }
  if (tests.some(({ name, state }) => name === law.name && state === 'failed')) return [];
  return [
    {
      where,
      what: `"${law.name}" lets this pitfall pass`,
      remedy: 'strengthen the law until it fails here, or name the law that does catch it in "Caught by"',
    },
  ];
}

function unknownTest(where: string, { caughtBy }: Pitfall): Finding[] {
  const what = caughtBy === undefined ? 'names no law in "Caught by"' : `no law is called "${caughtBy}"`;
  return [{ where, what, remedy: 'write the exact name of the law that catches it' }];
}
