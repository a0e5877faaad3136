import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, unlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { expect, onTestFinished, test, vi } from 'vitest';
import { patient } from '../src/patience.ts';

vi.setConfig({ testTimeout: patient(30_000) });
const hook = pathToFileURL(resolve(import.meta.dirname, '../src/resolved.ts')).href;
const program = `
import { keepResolved } from ${JSON.stringify(hook)};
const { said } = await import('asks');
console.log(said);
keepResolved();`;

/** An installed package that says what another one, its neighbour, is; of that one there are two. */
async function installed() {
  const dir = await mkdtemp(join(tmpdir(), 'resolved-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const modules = join(dir, 'node_modules');
  const file = join(modules, '.cache/resolved/lab.json');
  const add = async (name: string, files: Record<string, string>) => {
    await mkdir(join(modules, name), { recursive: true });
    for (const [path, text] of Object.entries(files)) await writeFile(join(modules, name, path), text);
  };
  const esm = '{ "type": "module", "exports": "./index.js" }';
  await add('asks', {
    'package.json': esm,
    'index.js': `import { createRequire } from 'node:module';
      import { name } from 'answers';
      const { format } = createRequire(import.meta.url)('./data.json');
      export const said = name + ', ' + format;`,
    'data.json': '{ "format": "json" }',
  });
  for (const name of ['first', 'second']) {
    await add(name, { 'package.json': esm, 'index.js': `export const name = '${name}';` });
  }
  await writeFile(join(modules, '.modules.yaml'), '');
  const point = async (to: string) => {
    await unlink(join(modules, 'answers')).catch(() => {});
    await symlink(to, join(modules, 'answers'));
  };
  await point('first');
  return {
    file,
    point,
    install: () => utimes(join(modules, '.modules.yaml'), 1, 1),
    run: async (env: Record<string, string> = { LAB_RESOLVED: file }) => {
      const args = ['--import', hook, '--input-type=module', '--eval', program];
      const { LAB_RESOLVED: _ours, ...rest } = process.env;
      const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: dir, env: { ...rest, ...env } });
      return stdout.trim();
    },
  };
}

test('what an installed package loads is where the process before found it, until something is installed', async () => {
  const { run, point, install } = await installed();
  expect(await run()).toBe('first, json');
  await point('second');
  expect(await run()).toBe('first, json');
  await install();
  expect(await run()).toBe('second, json');
  expect(await run()).toBe('second, json');
});

test('who is named no file looks for itself, and so does whoever cannot read it', async () => {
  const { run, point, file } = await installed();
  expect(await run({})).toBe('first, json');
  expect(await run()).toBe('first, json');
  await point('second');
  expect(await run({})).toBe('second, json');
  await writeFile(file, (await readFile(file, 'utf8')).slice(0, -9));
  expect(await run()).toBe('second, json');
});
