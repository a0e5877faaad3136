import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { cli } from '../src/cli.ts';
import { compilerOptions } from '../src/commands/copy.ts';
import { context, house, manifest } from './house.ts';

/** Runs `pnpm lab …` in this process. */
async function call(root: string, ...words: string[]) {
  const called = context(root, words);
  return { code: await cli(called), out: called.text(), err: called.errors() };
}

const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');

/** What the compiler says of a project; '' where it has nothing to say. */
async function compile(project: string): Promise<string> {
  try {
    await promisify(execFile)(process.execPath, [tsc, '-p', project, '--pretty', 'false']);
    return '';
  } catch (error) {
    return error instanceof Error && 'stdout' in error ? String(error.stdout) : String(error);
  }
}

describe('copy', () => {
  /** An empty project of the reader's, with the flags that `copy` prints. */
  async function project(root: string, flags: string) {
    const dir = join(root, 'my-app');
    await mkdir(join(dir, 'node_modules/@types'), { recursive: true });
    await symlink(join(root, 'node_modules/@types/node'), join(dir, 'node_modules/@types/node'));
    await writeFile(join(dir, 'package.json'), '{ "type": "module" }');
    await writeFile(
      join(dir, 'tsconfig.json'),
      `{ "compilerOptions": { ${compilerOptions}, ${flags} }, "include": ["src"] }`,
    );
    return dir;
  }

  test.each([
    '"allowImportingTsExtensions": true, "noEmit": true',
    '"rewriteRelativeImportExtensions": true, "rootDir": "src", "outDir": "dist"',
  ])('what is copied compiles in an empty project, with %s', async (flags) => {
    await using home = await house();
    const dir = await project(home.root, flags);
    const { code, out } = await call(home.root, 'copy', 'once', 'my-app/src/once');
    expect(code).toBe(0);
    const line = /^ {2}(import \* as once from '\.\/once\/index\.ts';)$/m.exec(out)?.[1] ?? '';
    await writeFile(join(dir, 'src/main.ts'), `${line}\nconst one: () => number = once.once(() => 1);\none();\n`);
    expect(await compile(dir)).toBe('');
    await writeFile(join(dir, 'src/main.ts'), `${line}\nconst one: () => string = once.once(() => 1);\none();\n`);
    expect(await compile(dir)).toContain('src/main.ts(2,');
  });

  test('says what to install, with the exact versions of the catalog, types included', async () => {
    const catalog =
      "catalog:\n  pg: 8.23.1\n  '@types/pg': 8.23.2\n  '@types/node': 24.0.1\n  typescript: 7.0.2\n  vitest: 5.0.0\n";
    await using home = await house({
      'package.json': manifest('once', 'language', {
        dependencies: { pg: 'catalog:' },
        devDependencies: { '@types/pg': 'catalog:', vitest: 'catalog:' },
      }),
    });
    await writeFile(join(home.root, 'pnpm-workspace.yaml'), catalog);
    const { out } = await call(home.root, 'copy', 'once', 'my-app');
    expect(out).toContain(
      '  npm install pg@8.23.1\n  npm install -D typescript@7.0.2 @types/node@24.0.1 @types/pg@8.23.2\n',
    );
    expect(out).toContain('2 files of Once 仅一次 copied to my-app');
  });

  test('says which Node the copy needs: the one that the labs run on', async () => {
    await using home = await house();
    const { out } = await call(home.root, 'copy', 'once', 'my-app');
    expect(out).toContain('  "type": "module", "engines": { "node": ">=24" }\n');
  });

  test('never overwrites a folder that holds files, unless it is told to', async () => {
    await using home = await house();
    await home.write('labs/../my-app/mine.ts', 'mine');
    await home.write('labs/../my-app/once.ts', 'mine');
    const refused = await call(home.root, 'copy', 'once', 'my-app');
    expect(refused).toMatchObject({
      code: 2,
      err: expect.stringContaining('my-app holds 2 files; name a new folder, or add --force'),
    });
    expect(await readFile(join(home.root, 'my-app/once.ts'), 'utf8')).toBe('mine');
    expect((await call(home.root, 'copy', 'once', 'my-app', '--force')).code).toBe(0);
    expect(await readFile(join(home.root, 'my-app/once.ts'), 'utf8')).toContain('export function once');
    expect(await readFile(join(home.root, 'my-app/mine.ts'), 'utf8')).toBe('mine');
  });

  test('a file in the way, and the lab itself, are refused', async () => {
    await using home = await house();
    await home.write('labs/../notes.txt', 'x');
    expect(await call(home.root, 'copy', 'once', 'notes.txt')).toMatchObject({
      code: 2,
      err: 'notes.txt is a file; name a folder\n',
    });
    expect((await call(home.root, 'copy', 'once', 'labs/language/once/src')).err).toContain(
      'lies inside the lab itself',
    );
  });
});

describe('new', () => {
  const title = ['--title', 'Task queue 任务队列'];

  test('begins a lab that type-checks, is listed, and whose suite fails for want of its first law', async () => {
    await using home = await house();
    const made = await call(
      home.root,
      'new',
      'language/task-queue',
      ...title,
      '--description',
      'Work that waits its turn',
    );
    expect(made).toMatchObject({ code: 0, err: '' });
    const dir = join(home.root, 'labs/language/task-queue');
    expect(await compile(dir)).toBe('');
    expect((await call(home.root)).out).toContain('task-queue  Task queue 任务队列  Work that waits its turn');
    const { code, out } = await call(home.root, 'test', 'task-queue');
    expect(code).toBe(1);
    expect(out).toContain('✗ TODO: the first law');
    expect(out).toContain('1 core law: 1 broken');
  });

  test.each([
    ['task-queue', '"task-queue" is not STAGE/NAME'],
    ['language/a/b', 'is not STAGE/NAME'],
    ['langauge/x', 'there is no stage "langauge"; did you mean "language"?'],
    ['language/Task_Queue', "can't be a lab's name: lower case words, joined by hyphens"],
    ['language/..', "can't be a lab's name"],
    ['web/learn', 'is a command of `pnpm lab`'],
    ['web/once', 'labs/language/once exists already'],
  ])('%s is refused: %s', async (path, sentence) => {
    await using home = await house();
    const { code, err } = await call(home.root, 'new', path, ...title);
    expect(code).toBe(2);
    expect(err).toContain(sentence);
    expect(await readdir(join(home.root, 'labs'))).toEqual(['language']);
  });

  test('a title without its Chinese part is refused', async () => {
    await using home = await house();
    expect(await call(home.root, 'new', 'web/x', '--title', 'Only English')).toMatchObject({
      code: 2,
      err: expect.stringContaining('has no Chinese part'),
    });
  });
});

describe('doctor', () => {
  test('with nothing missing says so', async () => {
    await using home = await house();
    const { code, out } = await call(home.root, 'doctor');
    expect(code).toBe(0);
    expect(out).toContain(`node  ${process.versions.node}`);
    expect(out).toContain('All that the labs need is at hand.');
  });
});

describe('progress', () => {
  test('says how to begin, then how far each lab is', async () => {
    await using home = await house();
    expect((await call(home.root, 'progress')).out).toContain('`pnpm lab learn once` begins');
    const record = (more: object) =>
      home.write(
        'labs/../.labs/progress.json',
        JSON.stringify({
          version: 2,
          labs: {
            once: {
              started: '2026-11-23T12:00:00Z',
              core: { green: 2, total: 2 },
              hardening: { green: 0, total: 0 },
              ...more,
            },
          },
        }),
      );
    const shown = async () => (await call(home.root, 'progress')).out;
    await record({ core: { green: 1, total: 2 } });
    expect(await shown()).toMatch(/· once {2}core 1\/2 {2}started 2026-11-23\n\n0 of 1 lab understood, 0 solved\n$/);
    expect((await call(home.root)).out).toContain('core 1/2');
    await record({ understood: '2026-11-24T12:00:00Z', hardening: { green: 12, total: 38 } });
    expect(await shown()).toMatch(/✓ once {2}core 2\/2 · hardening 12\/38 {2}understood 2026-11-24\n\n1 of 1/);
    expect((await call(home.root)).out).toContain('✓ understood');
    await record({ understood: '2026-11-24T12:00:00Z', solved: '2026-11-25T12:00:00Z' });
    expect(await shown()).toMatch(/✓ once .*solved 2026-11-25\n\n1 of 1 lab understood, 1 solved\n$/);
    expect((await call(home.root)).out).toContain('✓ solved');
    await rm(join(home.root, '.labs'), { recursive: true });
    expect((await call(home.root)).out).not.toContain('✓ solved');
  });
});
