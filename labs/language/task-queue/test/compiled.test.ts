import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';

const run = promisify(execFile);

// `sandboxed` is given to every implementation, so this is about the sources, or a whole copy of them.
test('a thread starts where the sources have been compiled', { timeout: 20_000 }, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'task-queue-compiled-'));
  onTestFinished(() => rm(dir, { recursive: true }));
  const copy = resolve(process.env['LAB_IMPL'] ?? '', '..');
  const src = existsSync(join(copy, 'thread.ts')) ? copy : join(import.meta.dirname, '../src');
  for (const file of await readdir(src)) {
    const typed = await readFile(join(src, file), 'utf8');
    // As tsc does with rewriteRelativeImportExtensions: specifiers alone.
    const plain = stripTypeScriptTypes(typed).replaceAll(/( from '\.\/[\w-]+)\.ts'/g, "$1.js'");
    await writeFile(join(dir, file.replace(/ts$/, 'js')), plain);
  }
  await writeFile(join(dir, 'package.json'), '{ "type": "module" }');
  await writeFile(join(dir, 'scan.js'), "export default (film) => film + ' scanned';");
  const main = `
    import { startThread } from './sandbox.js';
    const { thread, result } = startThread(new URL('./scan.js', import.meta.url), 'film 7', {
      id: '7', attempt: 1, signal: new AbortController().signal, progress: async () => {},
    });
    console.log(await result);
    await thread.terminate();
  `;
  await writeFile(join(dir, 'main.js'), main);
  const { stdout } = await run(process.execPath, [join(dir, 'main.js')]);
  expect(stdout).toBe('film 7 scanned\n');
});
