import { relative } from 'node:path';
import { isRecord } from '../labs.ts';
import { bins, execBin } from './exec.ts';
import type { Finding, Gate } from './gate.ts';

export const biome: Gate = {
  name: 'biome',
  why: 'all code looks alike, and known mistakes do not come in',
  scope: 'lab',
  async run({ root, labs, narrowed }) {
    const paths = narrowed ? labs.map(({ dir }) => relative(root, dir)) : ['.'];
    const args = ['check', '--reporter=json', '--max-diagnostics=none', '--diagnostic-level=warn', ...paths];
    const output = await execBin(bins.biome(), args, { cwd: root });
    const findings = readReport(output.stdout);
    if (output.code === 0 || findings.length > 0) return findings;
    const what = `biome ended with code ${output.code}: ${output.stderr.trim().slice(0, 400)}`;
    return [{ where: 'biome.json', what, remedy: 'run `npx biome check`' }];
  },
};

function readReport(json: string): Finding[] {
  const report: unknown = json.trim() === '' ? {} : JSON.parse(json);
  if (!isRecord(report) || !Array.isArray(report['diagnostics'])) return [];
  return report['diagnostics'].filter(isRecord).map(({ category, message, location }) => {
    const place = isRecord(location) ? location : {};
    const line = isRecord(place['start']) && typeof place['start']['line'] === 'number' ? place['start']['line'] : 0;
    return {
      where: line > 0 ? `${place['path']}:${line}` : String(place['path']),
      what: `${category}: ${message}`,
      remedy:
        category === 'format' || String(category).startsWith('assist')
          ? 'run `pnpm fix`'
          : `run \`npx biome explain ${String(category).split('/').at(-1)}\`; \`pnpm fix\` mends some`,
    };
  });
}
