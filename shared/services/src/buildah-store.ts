import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Where it stands what is ours in the user's engine. */
export const OURS = 'engine.json';

/** The folders of an image keep their modes: in one that may not be written to, nobody but root removes anything. */
export async function beforeRemoval(folder: string): Promise<void> {
  await removeOurs(folder);
  if (process.getuid?.() !== 0) await run('chmod', ['-R', 'u+rwX', folder]).catch(() => {});
}

/** What was built upon our base, and that; layers that another image has stay. */
async function removeOurs(folder: string): Promise<void> {
  const text = await readFile(join(folder, OURS), 'utf8').catch(() => undefined);
  if (text === undefined) return;
  const { path, label }: { path: string; label: string } = JSON.parse(text);
  const ask = ['image', 'ls', '--all', '--quiet', '--no-trunc', '--filter', `label=${label}`];
  const listed = await run(path, ask, { timeout: 30_000 }).catch(() => undefined);
  const ids = new Set((listed?.stdout ?? '').split('\n').filter((id) => id !== ''));
  if (ids.size > 0) await run(path, ['image', 'rm', '--force', ...ids], { timeout: 60_000 }).catch(() => undefined);
}
