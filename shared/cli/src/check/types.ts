import { existsSync, globSync } from 'node:fs';
import { join, relative } from 'node:path';
import { execTsc } from './exec.ts';
import type { Finding, Gate, GateContext } from './gate.ts';
import { packageDirs } from './packages.ts';
import { pooled } from './pooled.ts';
import { diagnosticsOf } from './tsc.ts';

export const types: Gate = {
  name: 'types',
  why: 'every package type-checks in the strict mode of tsconfig.base.json',
  scope: 'lab',
  async run(context) {
    const dirs = await packages(context);
    const found = await pooled(dirs, 2, (dir) => check(context.root, dir));
    return found.flat();
  },
};

async function packages({ root, labs, narrowed }: GateContext): Promise<string[]> {
  const dirs = narrowed ? labs.map(({ dir }) => dir) : await packageDirs(root);
  // A folder that compiles under other options (another dialect of decorators) has a tsconfig.json of its own.
  const nested = dirs.flatMap((dir) =>
    globSync('test/*/tsconfig.json', { cwd: dir }).map((file) => join(dir, file, '..')),
  );
  return [...dirs, ...nested].filter((dir) => existsSync(join(dir, 'tsconfig.json')));
}

async function check(root: string, dir: string): Promise<Finding[]> {
  const args = ['--noEmit', '--pretty', 'false', '-p', dir];
  const output = await execTsc(args, { cwd: root });
  const found = diagnosticsOf(output, root);
  // A learner's attempt is no part of the repository: `learn` says what the compiler has against it.
  const ours = found.filter(({ file }) => !relative(dir, join(root, file)).startsWith('attempt/'));
  const findings = ours.map(({ where, text }) => ({ where, what: text, remedy: 'mend the types; no `any`, no `!`' }));
  if (output.code === 0 || found.length > 0) return findings;
  const what = `tsc ended with code ${output.code}: ${(output.stdout + output.stderr).trim().slice(0, 400)}`;
  return [{ where: relative(root, dir), what, remedy: `run \`npx tsc -p ${relative(root, dir)}\`` }];
}
