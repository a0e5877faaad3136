// The lessor of whoever forks this file, which is told what a borrower needs in its environment. A process of its own, so
// that no other work holds up a fault. It ends with its parent, and its servers end with it. `lessor-main.ts [ahead]`
import { statfs } from 'node:fs/promises';
import { openLessor } from './lessor.ts';

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});

// What is made anew for each borrower is hundreds of small files: in memory they cost a quarter of what a disk takes.
if (await hasRoom('/dev/shm')) process.env['TMPDIR'] = '/dev/shm';

const lessor = await openLessor({ ahead: process.argv[2] === 'ahead' });
const end = async (): Promise<void> => {
  await lessor[Symbol.asyncDispose]();
  process.exit();
};
process.once('disconnect', end);
if (process.connected) process.send?.(lessor.env);
else await end();

async function hasRoom(memory: string): Promise<boolean> {
  const enough = 2 * 1024 ** 3;
  if (process.platform !== 'linux' || process.availableMemory() < 2 * enough) return false;
  try {
    const { bavail, bsize } = await statfs(memory);
    return bavail * bsize >= enough;
  } catch {
    return false;
  }
}
