import { readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { parseSync } from 'oxc-parser';
import type { Lab } from '../labs.ts';
import { BlockError, blocksOf } from './blocks.ts';
import { execTsc } from './exec.ts';
import { filesUnder, lineAt, textOf } from './files.ts';
import type { Finding, Gate } from './gate.ts';
import { pooled } from './pooled.ts';
import { Scratch } from './scratch.ts';
import { diagnosticsOf } from './tsc.ts';

/**
 * Compiles the TypeScript of a lab's README that no marker fills, and that of the doc comments in src/. What the lab
 * exports is imported by itself; whatever else an example takes for granted is declared in a comment above its fence,
 * `<!-- given declare const url: string; -->`, or in the example itself.
 */
export const examples: Gate = {
  name: 'examples',
  why: 'code that a page or a doc comment tells people to write compiles as it stands',
  scope: 'lab',
  async run({ root, labs }) {
    const found = await pooled(labs, 2, (lab) => compile(root, lab));
    return found.flat();
  },
};

interface Example {
  /** Relative to the lab. */
  readonly file: string;
  /** The line of its first line of code, counted from 1. */
  readonly line: number;
  readonly given: string;
  readonly code: string;
}

async function compile(root: string, lab: Lab): Promise<readonly Finding[]> {
  const found = await examplesOf(lab);
  if (found.length === 0) return [];
  await using scratch = await Scratch.in(lab.dir);
  const index = join(lab.dir, 'src/index.ts');
  const exported = await exportsOf(index);
  const heads = new Map<string, { readonly example: Example; readonly lines: number }>();
  for (const [i, example] of found.entries()) {
    const head = `${importLine(example, exported)}\n${example.given}\n`;
    const name = `example-${i}.ts`;
    heads.set(name, { example, lines: head.split('\n').length - 1 });
    await writeFile(scratch.path(name), `${head}${example.code}\nexport {};\n`);
  }
  await writeFile(
    scratch.path('tsconfig.json'),
    JSON.stringify({
      extends: join(lab.dir, 'tsconfig.json'),
      // An example may leave a result unused, and its import line brings types and values alike.
      compilerOptions: {
        noUnusedLocals: false,
        noUnusedParameters: false,
        verbatimModuleSyntax: false,
        paths: { '#lab': [index] },
      },
      include: ['*.ts'],
    }),
  );
  const output = await execTsc(['--noEmit', '--pretty', 'false', '-p', scratch.dir], { cwd: scratch.dir });
  const place = (file: string, line: number) => `${relative(root, join(lab.dir, file))}:${line}`;
  return diagnosticsOf(output, scratch.dir).flatMap(({ file, where, text }) => {
    const head = heads.get(file);
    // What stands in src/ itself is for the gate on types.
    if (head === undefined) return [];
    const { example, lines } = head;
    const line = example.line + Math.max(0, Number(where.split(':').at(-1)) - 1 - lines);
    const remedy = /Cannot find name|No value exists in scope/.test(text)
      ? 'declare it in a comment above the fence, <!-- given declare const … -->, or in the example'
      : 'mend the example: people copy it';
    return [{ where: place(example.file, line), what: text, remedy }];
  });
}

async function examplesOf(lab: Lab): Promise<readonly Example[]> {
  const readme = await textOf(join(lab.dir, 'README.md'));
  const found = readme === undefined ? [] : [...inReadme(readme)];
  for (const file of await filesUnder(join(lab.dir, 'src'))) {
    if (!file.endsWith('.ts')) continue;
    found.push(...inComments(`src/${file}`, await readFile(join(lab.dir, 'src', file), 'utf8')));
  }
  return found;
}

const fence = /(?:<!-- given\s+(?<given>(?:(?!-->).)*?)\s*-->\s*\n)?^```(?:ts|typescript)\n(?<code>.*?)^```$/gms;

function inReadme(text: string): readonly Example[] {
  const filled = markedIn(text);
  return [...text.matchAll(fence)].flatMap((match) => {
    const { given = '', code = '' } = match.groups ?? {};
    const start = match.index + match[0].lastIndexOf(code);
    if (filled.some((block) => start >= block.start && start < block.end)) return [];
    return [{ file: 'README.md', line: lineAt(text, start), given, code }];
  });
}

/** The gate on READMEs says so where a marker is wrong. */
function markedIn(text: string): readonly { readonly start: number; readonly end: number }[] {
  try {
    return blocksOf(text);
  } catch (error) {
    if (error instanceof BlockError) return [];
    throw error;
  }
}

function inComments(file: string, text: string): readonly Example[] {
  const docs = parseSync(file, text, { lang: 'ts', sourceType: 'module' }).comments.filter(
    ({ type, value }) => type === 'Block' && value.startsWith('*'),
  );
  return docs.flatMap(({ start, value }) => {
    const bare = value.replaceAll(/^[ \t]*\* ?/gm, '');
    const first = lineAt(text, start);
    return [...bare.matchAll(fence)].map((match) => {
      const { code = '' } = match.groups ?? {};
      return { file, line: first + lineAt(bare, match.index + match[0].lastIndexOf(code)) - 1, given: '', code };
    });
  });
}

/** On one line, so that lines are counted alike whatever a lab exports. */
function importLine({ given, code }: Example, exported: ReadonlySet<string>): string {
  const { module } = parseSync('example.ts', `${given}\n${code}`, { lang: 'ts', sourceType: 'module' });
  const own = new Set(module.staticImports.flatMap(({ entries }) => entries.map(({ localName }) => localName.value)));
  const words = new Set(`${given}\n${code}`.match(/[A-Za-z_$][\w$]*/g));
  const names = [...exported].filter((name) => words.has(name) && !own.has(name));
  return names.length === 0 ? '' : `import { ${names.join(', ')} } from '#lab';`;
}

/** The names that a module exports, those of its `export *` included. */
async function exportsOf(file: string): Promise<ReadonlySet<string>> {
  const { module } = parseSync(file, await readFile(file, 'utf8'), { lang: 'ts', sourceType: 'module' });
  const names = new Set<string>();
  for (const { exportName, importName, moduleRequest } of module.staticExports.flatMap(({ entries }) => entries)) {
    if (exportName.name !== null) names.add(exportName.name);
    else if (importName.kind === 'AllButDefault' && moduleRequest?.value.startsWith('.')) {
      for (const name of await exportsOf(join(file, '..', moduleRequest.value))) names.add(name);
    }
  }
  return names;
}
