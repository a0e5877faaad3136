import { isRecord } from '../labs.ts';
import { bins, execBin } from './exec.ts';
import type { Finding, Gate } from './gate.ts';

/** What knip calls its findings → the sentence and the remedy. */
const kinds: Readonly<Record<string, readonly [what: string, remedy: string]>> = {
  files: ['nothing uses this file', 'use it or delete it'],
  dependencies: ['is a dependency that nothing imports', 'remove it from package.json'],
  devDependencies: ['is a devDependency that nothing uses', 'remove it from package.json'],
  optionalPeerDependencies: ['is an optional peer that is imported', 'declare it in package.json'],
  unlisted: ['is imported and not declared', 'add it to package.json, as "catalog:"'],
  binaries: ['is run and not declared', 'add the package that has it to package.json'],
  unresolved: ['cannot be resolved', 'mend the import'],
  exports: ['is exported and nothing imports it', 'drop the `export`, or the code'],
  types: ['is an exported type that nothing imports', 'drop the `export`, or the type'],
  duplicates: ['is exported twice', 'keep one name'],
  enumMembers: ['is never used', 'remove it'],
  namespaceMembers: ['is never used', 'remove it'],
  catalog: ['is in the catalog and nothing refers to it', 'remove it from pnpm-workspace.yaml'],
  catalogReferences: ['refers to the catalog, which does not have it', 'add it to pnpm-workspace.yaml'],
};

export const knip: Gate = {
  name: 'knip',
  why: 'dead files, exports and dependencies go out with the change that killed them',
  scope: 'repo',
  async run({ root }) {
    const args = ['--reporter', 'json', '--no-progress', '--directory', root];
    const output = await execBin(bins.knip(), args, { cwd: root });
    const findings = readReport(output.stdout);
    if (output.code === 0 || findings.length > 0) return findings;
    const what = `knip ended with code ${output.code}: ${output.stderr.trim().slice(0, 400)}`;
    return [{ where: 'knip.json', what, remedy: 'run `npx knip`' }];
  },
};

function readReport(json: string): Finding[] {
  const start = json.indexOf('{');
  const report: unknown = start < 0 ? {} : JSON.parse(json.slice(start));
  if (!isRecord(report) || !Array.isArray(report['issues'])) return [];
  return report['issues'].filter(isRecord).flatMap((issue) =>
    Object.entries(kinds).flatMap(([kind, [what, remedy]]) => {
      const items: unknown = issue[kind];
      if (!Array.isArray(items)) return [];
      return items.flat().map((item: unknown) => {
        const { name, line } = isRecord(item) ? item : {};
        const where = typeof line === 'number' ? `${issue['file']}:${line}` : String(issue['file']);
        return { where, what: kind === 'files' ? what : `${String(name)} ${what}`, remedy };
      });
    }),
  );
}
