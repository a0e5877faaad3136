import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

/**
 * Removes the System V shared memory segment of a Postgres that died without the chance to do it itself. Postgres
 * notes the segment in line 7 of postmaster.pid ("key id"), a file that it removes when it ends in order.
 */
export async function beforeRemoval(folder: string): Promise<void> {
  const note = await readFile(join(folder, 'data', 'postmaster.pid'), 'utf8').catch(() => '');
  const [key, id] = note.split('\n')[6]?.trim().split(/\s+/).map(Number) ?? [];
  if (key === undefined || id === undefined || !(await isStill(key, id))) return;
  await promisify(execFile)('ipcrm', ['-m', String(id)]).catch(() => {});
}

/** Ids are reused: the segment must still carry the key, and nobody may be attached to it. */
async function isStill(key: number, id: number): Promise<boolean> {
  const table = await readFile('/proc/sysvipc/shm', 'utf8').catch(() => undefined);
  if (table === undefined) return true;
  return table.split('\n').some((line) => {
    const [itsKey, itsId, , , , , attached] = line.trim().split(/\s+/).map(Number);
    return itsKey === key && itsId === id && attached === 0;
  });
}
