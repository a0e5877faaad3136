import { join, relative } from 'node:path';
import type { Lab } from '../labs.ts';
import { checkDemoTime } from './budgets.ts';
import type { DemoRun } from './demo-runs.ts';
import type { Finding, Gate } from './gate.ts';

export const demos: Gate = {
  name: 'demos',
  why: 'every story that a reader can run proves its claims on this very code',
  scope: 'lab',
  async run({ root, labs, demos }) {
    const findings: Finding[] = [];
    await demos.together(labs);
    for (const lab of labs) {
      for (const run of await demos.of(lab)) findings.push(...judge(lab, relative(root, join(lab.dir, run.file)), run));
    }
    return findings;
  },
};

function judge(lab: Lab, where: string, { outcome, evidence, ms, inCompany }: DemoRun): readonly Finding[] {
  if (outcome === 'hung') {
    return [{ where, what: `does not end\n${evidence}`, remedy: 'end what still runs: a timer, a connection, a loop' }];
  }
  if (outcome === 'missing-server') {
    const severity = process.env['LABS_REQUIRE'] === 'all' ? 'error' : 'warning';
    return [{ where, what: `not run, a server is missing\n${evidence}`, remedy: 'see `pnpm lab doctor`', severity }];
  }
  if (outcome === 'failed') {
    const remedy = 'run it by hand (`pnpm lab NAME`), then mend the claim or the code';
    return [{ where, what: `does not hold what it promises\n${evidence}`, remedy }];
  }
  return inCompany ? [] : checkDemoTime(lab, ms, where);
}
