import { existsSync, globSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { execTsc } from './exec.ts';
import { filesUnder } from './files.ts';
import type { Finding, Gate, GateContext } from './gate.ts';
import { packageDirs } from './packages.ts';
import { pooled } from './pooled.ts';
import { Scratch } from './scratch.ts';
import { diagnosticsOf } from './tsc.ts';

/** Packages in one program: what they share is read and checked once. More of them would need more than a gigabyte. */
const together = 10;

export const types: Gate = {
  name: 'types',
  why: 'every package type-checks in the strict mode of tsconfig.base.json',
  scope: 'lab',
  async run(context) {
    const dirs = await packages(context);
    const alike = await Promise.all(dirs.map((dir) => isAlike(context.root, dir)));
    const plain = dirs.filter((_, i) => alike[i]);
    const lots = Math.ceil(plain.length / together);
    const programs = [
      ...Array.from({ length: lots }, (_, lot) => plain.filter((_, i) => i % lots === lot)),
      ...dirs.filter((_, i) => !alike[i]).map((dir) => [dir]),
    ];
    const found = await pooled(programs, 2, (program) => check(context.root, program));
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

/** Whether it compiles beside others as it does alone: the options of all, and nothing declared for everybody. */
async function isAlike(root: string, dir: string): Promise<boolean> {
  const plain = { extends: relative(dir, join(root, 'tsconfig.base.json')), include: ['.'] };
  const options = await readFile(join(dir, 'tsconfig.json'), 'utf8');
  try {
    if (!isDeepStrictEqual(JSON.parse(options), plain)) return false;
  } catch {
    return false;
  }
  const sources = (await filesUnder(dir)).filter((file) => file.endsWith('.ts'));
  const texts = await Promise.all(sources.map((file) => readFile(join(dir, file), 'utf8')));
  return !texts.some((text) => /^\s*declare (global|module)\b/m.test(text));
}

async function check(root: string, dirs: readonly string[]): Promise<Finding[]> {
  await using scratch = await Scratch.in(root);
  const [first = root, ...others] = dirs;
  const attempts = dirs.map((dir) => join(dir, 'attempt'));
  const joint = { extends: join(root, 'tsconfig.base.json'), include: dirs, exclude: attempts };
  if (others.length > 0) await writeFile(scratch.path('tsconfig.json'), JSON.stringify(joint));
  const project = others.length > 0 ? scratch.dir : first;
  const output = await execTsc(['--noEmit', '--pretty', 'false', '-p', project], { cwd: root });
  const found = diagnosticsOf(output, root);
  // A learner's attempt is no part of the repository: `learn` says what the compiler has against it.
  const ours = found.filter(({ file }) => !dirs.some((dir) => relative(dir, join(root, file)).startsWith('attempt/')));
  const findings = ours.map(({ where, text }) => ({ where, what: text, remedy: 'mend the types; no `any`, no `!`' }));
  if (output.code === 0 || found.length > 0) return findings;
  const what = `tsc ended with code ${output.code}: ${(output.stdout + output.stderr).trim().slice(0, 400)}`;
  const names = dirs.map((dir) => relative(root, dir));
  return [{ where: names.join(', '), what, remedy: names.map((name) => `run \`npx tsc -p ${name}\``).join('; ') }];
}
