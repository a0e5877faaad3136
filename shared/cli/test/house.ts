import { spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { Context } from '../src/context.ts';

const repository = resolve(import.meta.dirname, '../../..');
const main = resolve(import.meta.dirname, '../src/main.ts');

export type House = AsyncDisposable & { readonly root: string; write(file: string, content: string): Promise<void> };

/** A repository of its own, in a temporary folder, with one complete lab that needs no server: `once`. */
export async function house(extra: Readonly<Record<string, string>> = {}): Promise<House> {
  const root = await mkdtemp(join(tmpdir(), 'house-'));
  const write = async (file: string, content: string) => {
    const path = join(root, file);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  };
  await mkdir(join(root, 'node_modules/@types'), { recursive: true });
  await symlink(join(repository, 'shared'), join(root, 'node_modules/@shared'));
  await symlink(join(repository, 'node_modules/@types/node'), join(root, 'node_modules/@types/node'));
  await symlink(join(repository, 'node_modules/vitest'), join(root, 'node_modules/vitest'));
  await cp(join(repository, 'tsconfig.base.json'), join(root, 'tsconfig.base.json'));
  await cp(join(repository, 'pnpm-workspace.yaml'), join(root, 'pnpm-workspace.yaml'));
  const lab = 'labs/language/once';
  const files = { ...onceLab, ...extra };
  for (const [file, content] of Object.entries(files)) {
    await write(file.startsWith('labs/') ? file : `${lab}/${file}`, content);
  }
  return { root, write, [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }) };
}

export type Outcome = {
  readonly code: number | null;
  readonly signal: string | null;
  readonly out: string;
  readonly err: string;
};

/** Calls the CLI as `pnpm lab` would, in a process of its own. */
export function lab(root: string, words: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  const child = startLab(root, words, env);
  return child.ended;
}

/** As `lab`, for a test that acts while it runs. */
export function startLab(root: string, words: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [main, ...words], {
    cwd: root,
    env: { ...process.env, NO_COLOR: '1', LABS_ROOT: root, INIT_CWD: root, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  const ended = new Promise<Outcome>((done) => {
    child.once('close', (code, signal) => done({ code, signal, out, err }));
  });
  return { child, ended, output: () => out };
}

/** A context that keeps what is written. */
export function context(root: string, words: readonly string[] = []): Context & { text(): string; errors(): string } {
  let out = '';
  let err = '';
  return {
    root,
    cwd: root,
    env: {},
    words,
    out: {
      write(text) {
        out += text;
      },
      columns: 80,
      interactive: false,
    },
    err: {
      write(text) {
        err += text;
      },
    },
    text: () => out,
    errors: () => err,
  };
}

export const manifest = (name: string, stage: string, more: object = {}) =>
  JSON.stringify({
    name: `@labs/${name}`,
    version: '0.0.0',
    private: true,
    type: 'module',
    description: 'A function that runs at most once, whoever calls it',
    lab: { stage, title: 'Once 仅一次', services: [] },
    imports: { '#lab': './src/index.ts' },
    exports: './src/index.ts',
    scripts: { demo: 'node demo.ts', test: 'lab-test', bench: 'node bench.ts' },
    ...more,
  });

export const laws = {
  atMostOnce: 'the function runs at most once',
  sameResult: 'every caller gets the result of the first call',
  sameError: 'every caller gets the error of the first call',
} as const;

const onceLab: Record<string, string> = {
  'package.json': manifest('once', 'language'),
  'tsconfig.json': '{ "extends": "../../../tsconfig.base.json", "include": ["."] }\n',
  'src/index.ts': "export { once } from './once.ts';\n",
  'src/once.ts': `/** Runs \`fn\` at the first call and answers every call with what came of it. */
export function once<T>(fn: () => T): () => T {
  let outcome: { value: T } | { error: unknown } | undefined;
  return () => {
    if (!outcome) {
      try {
        outcome = { value: fn() };
      } catch (error) {
        outcome = { error };
      }
    }
    if ('error' in outcome) throw outcome.error;
    return outcome.value;
  };
}
`,
  'exercise/index.ts': `/** Runs \`fn\` at the first call and answers every call with what came of it. */
export function once<T>(_fn: () => T): () => T {
  throw new Error('once is yours to write');
}
`,
  // The teaching order is not that of the suite.
  'exercise/hints.md': `# Core laws

## ${laws.sameResult}

What does the second caller get?

Look up: memoization.

## ${laws.atMostOnce}

Who remembers that the function ran?

Look up: closure.

\`\`\`ts
let done = false;
return () => { /* … */ };
\`\`\`

# Hardening laws

## ${laws.sameError}

What is an outcome?
`,
  'README.md': `# Once 仅一次

After this lab you can say:

- what a closure *remembers*
- why \`once\` is not a cache

## What goes wrong
`,
  'pitfalls/runs-each-time.ts': `// Flaw: nothing is remembered, so that each caller runs the function.
// Seen in: an issue somewhere
// Caught by: ${laws.atMostOnce}
export function once<T>(fn: () => T): () => T {
  return fn;
}
`,
  'pitfalls/forgets-errors.ts': `// Flaw: an error is not remembered, so that the next caller runs the function again.
// Seen in: an issue somewhere
// Caught by: ${laws.sameError}
export function once<T>(fn: () => T): () => T {
  let done: { value: T } | undefined;
  return () => {
    done ??= { value: fn() };
    return done.value;
  };
}
`,
  'test/once.test.ts': `import { describe, expect, test } from 'vitest';
import { once } from '#lab';

describe('once', () => {
  test('${laws.atMostOnce}', () => {
    let runs = 0;
    const call = once(() => { runs += 1; });
    call();
    call();
    expect(runs).toBe(1);
  });
  test('${laws.sameResult}', () => {
    let runs = 0;
    const call = once(() => { runs += 1; return runs; });
    expect([call(), call()]).toEqual([1, 1]);
  });
  test('${laws.sameError}', () => {
    let runs = 0;
    const call = once(() => { runs += 1; throw new Error(\`run \${runs}\`); });
    expect(call).toThrow('run 1');
    expect(call).toThrow('run 1');
  });
});
`,
  'demo.ts': `console.log('once, with', process.argv.slice(2).join(' ') || 'no flags', 'in', process.cwd().endsWith('once') ? 'its folder' : 'the wrong folder');
process.exitCode = process.argv.includes('--fail') ? 1 : 0;
`,
  'examples/second.ts': `console.log('the second story', process.argv.slice(2).join(' '));\n`,
  'bench.ts': `console.log('once is 1.00× itself', process.argv.slice(2).join(' '));\n`,
};
