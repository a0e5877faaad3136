import { cp, mkdir, readFile, realpath, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isMissing, isRecord, type Lab } from '../labs.ts';
import { parseScript } from '../process.ts';
import { exec, execTsc, packageDir } from './exec.ts';
import type { Finding, Gate } from './gate.ts';
import { pooled } from './pooled.ts';
import { Scratch } from './scratch.ts';
import { diagnosticsOf } from './tsc.ts';

/** What a strict reader's project has. No option of ours that would hide a weakness. */
const compilerOptions = {
  target: 'esnext',
  module: 'nodenext',
  moduleDetection: 'force',
  types: ['node'],
  strict: true,
  jsx: 'react-jsx',
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  erasableSyntaxOnly: true,
  verbatimModuleSyntax: true,
  allowImportingTsExtensions: true,
  skipLibCheck: false,
  noEmit: true,
};

/**
 * Copies each lab's src/ into an empty folder that has its declared dependencies and nothing else.
 *
 * @param importMs Milliseconds that an import may take until the process ends by itself.
 */
export function standaloneGate(importMs: number): Gate {
  return {
    name: 'standalone',
    why: '`pnpm lab copy` gives code that compiles and loads in a project of the reader’s own',
    scope: 'lab',
    async run({ root, labs }) {
      const found = await pooled(labs, 2, (lab) => tryAlone(root, lab, importMs));
      return found.flat();
    },
  };
}

export const standalone = standaloneGate(60_000);

async function tryAlone(root: string, lab: Lab, importMs: number): Promise<readonly Finding[]> {
  await using scratch = await Scratch.outside();
  const manifest: unknown = JSON.parse(await readFile(join(lab.dir, 'package.json'), 'utf8'));
  const missing = await furnish(scratch, root, lab, manifest);
  if (missing.length > 0) return missing;
  const compiled = await execTsc(['--pretty', 'false', '-p', scratch.dir], { cwd: scratch.dir });
  return [
    ...diagnosticsOf(compiled, scratch.dir).map((each) => judge(root, lab, each)),
    ...(await tryImport(scratch, root, lab, importMs)),
  ];
}

async function furnish(scratch: Scratch, root: string, lab: Lab, manifest: unknown): Promise<Finding[]> {
  const dependencies = names(manifest, 'dependencies');
  const where = relative(root, join(lab.dir, 'package.json'));
  // The types of a package that has none of its own come from a second one, which a reader installs beside it.
  const types = names(manifest, 'devDependencies').filter((name) =>
    dependencies.some((each) => typesOf(each) === name),
  );
  await cp(join(lab.dir, 'src'), scratch.path('src'), { recursive: true });
  await writeFile(scratch.path('package.json'), JSON.stringify({ name: 'reader', type: 'module', private: true }));
  await writeFile(scratch.path('tsconfig.json'), JSON.stringify({ compilerOptions, include: ['src'] }));
  await link(scratch, '@types/node', packageDir('@types/node'));
  const absent: Finding[] = [];
  for (const name of [...dependencies, ...types]) {
    try {
      await link(scratch, name, await realpath(join(lab.dir, 'node_modules', name)));
    } catch (error) {
      if (!isMissing(error)) throw error;
      absent.push({ where, what: `declares ${name}, which is not installed`, remedy: 'run `npx pnpm install`' });
    }
  }
  return absent;
}

function names(manifest: unknown, field: string): string[] {
  const value = isRecord(manifest) ? manifest[field] : undefined;
  return isRecord(value) ? Object.keys(value) : [];
}

function typesOf(name: string): string {
  return `@types/${name.replace(/^@/, '').replace('/', '__')}`;
}

async function link(scratch: Scratch, name: string, target: string): Promise<void> {
  const path = scratch.path(join('node_modules', name));
  await mkdir(dirname(path), { recursive: true });
  await symlink(target, path, 'dir');
}

function judge(root: string, lab: Lab, { where, file, text }: { where: string; file: string; text: string }): Finding {
  if (file.startsWith('src/')) {
    return {
      where: relative(root, join(lab.dir, where)),
      what: `does not compile on its own: ${text}`,
      remedy: 'src/ may use its declared dependencies, Node and nothing else; declare what it imports',
    };
  }
  // The reader meets it too, and neither of us can mend it: skipLibCheck, or another library.
  return {
    where: relative(root, join(lab.dir, 'package.json')),
    what: `a dependency's own declarations do not compile, ${where}: ${text.split('\n')[0]}`,
    remedy: 'readers need skipLibCheck for it: say so in the README, or choose another library',
    severity: 'warning',
  };
}

async function tryImport(scratch: Scratch, root: string, lab: Lab, importMs: number): Promise<Finding[]> {
  const where = relative(root, join(lab.dir, 'src/index.ts'));
  const { flags } = parseScript(lab.demo, `scripts.demo of ${lab.name}`);
  const copy = pathToFileURL(scratch.path('src/index.ts')).href;
  const run = await exec(
    process.execPath,
    [...flags, '--input-type=module', '--eval', `await import(${JSON.stringify(copy)})`],
    {
      // A loader is the lab's; what src/ imports is looked for beside the copy.
      cwd: lab.dir,
      timeoutMs: importMs,
    },
  );
  if (run.timedOut) {
    const remedy = 'start timers and connections when they are asked for, not when the module loads';
    return [{ where, what: 'importing it keeps the process alive', remedy }];
  }
  if (run.code === 0) return [];
  const said = run.stderr.split('\n').find((line) => /^\w*Error/.test(line)) ?? run.stderr.trim().slice(0, 300);
  return [{ where, what: `cannot be imported on its own: ${said}`, remedy: 'declare what it imports in dependencies' }];
}
