import { join, relative } from 'node:path';
import type { DemoRun } from './demo-runs.ts';
import type { Finding, Gate } from './gate.ts';

/** Longer than that, and nobody waits for the point. */
const budgetMs = 15_000;

export const demos: Gate = {
  name: 'demos',
  why: 'every story that a reader can run proves its claims on this very code',
  scope: 'lab',
  async run({ root, labs, demos }) {
    const findings: Finding[] = [];
    for (const lab of labs) {
      for (const run of await demos.of(lab)) findings.push(...judge(relative(root, join(lab.dir, run.file)), run));
    }
    return findings;
  },
};

function judge(where: string, { outcome, evidence, ms }: DemoRun): Finding[] {
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
  if (ms <= budgetMs) return [];
  const what = `takes ${(ms / 1000).toFixed(1)} s, and 15 s are the limit`;
  return [{ where, what, remedy: 'measure less, or move a part to examples/', severity: 'warning' }];
}
