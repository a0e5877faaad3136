import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { part } from '@shared/testkit';
import { expect, onTestFinished, test } from 'vitest';

const run = promisify(execFile);

// `sandboxed` is given to every implementation, so this is about the sources, or a whole copy of them.
test('a thread starts where the sources have been compiled', { timeout: 20_000 }, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'task-queue-compiled-'));
  onTestFinished(() => rm(dir, { recursive: true }));
  const src = dirname(fileURLToPath(part('thread.ts')));
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
