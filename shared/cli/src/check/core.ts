import { join, relative } from 'node:path';
import type { TestResult } from '@shared/testkit';
import { type Hints, readHints } from '../hints.ts';
import type { Lab } from '../labs.ts';
import type { Finding, Gate, GateContext } from './gate.ts';

/** The static side of the core laws (how many, their hints and pitfalls) is part of the anatomy. */
export const core: Gate = {
  name: 'core',
  why: 'whoever opens the exercise meets a red law first, and turns each core law green himself',
  scope: 'lab',
  async run(context) {
    const findings: Finding[] = [];
    for (const lab of context.labs) findings.push(...(await untouched(lab, context)));
    return findings;
  },
};

async function untouched(lab: Lab, { root, gradings }: GateContext): Promise<readonly Finding[]> {
  const [hints, { tests, problems, missing }] = await Promise.all([readHints(lab.dir), gradings.untouched(lab)]);
  // Without its servers nothing is known, and a suite that breaks on the stub is for the grading to tell.
  if (missing.length > 0 || problems.length > 0) return [];
  const where = relative(root, join(lab.dir, 'exercise/index.ts'));
  return tests.filter(({ state }) => state === 'passed').flatMap((law) => judge(law, hints, where));
}

function judge({ name, file }: TestResult, hints: Hints, where: string): Finding[] {
  const place = hints.place(name);
  const what = `"${name}" holds although nothing has been written`;
  if (place === 0) {
    const remedy =
      'it is where a learner begins: let it assert what only a working implementation does, or begin with another law';
    return [{ where, what, remedy }];
  }
  // Types are given with the task, and so is what hardens the parts of the stub that are not the idea.
  if (file.endsWith('.test-d.ts') || (hints.tellsCore && place === undefined)) return [];
  return [
    { where, what, remedy: 'let the law also assert what only a working implementation does', severity: 'warning' },
  ];
}
