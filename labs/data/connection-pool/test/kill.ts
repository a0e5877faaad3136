import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Job } from './teller.ts';

/** Runs the job in a process that is killed (SIGKILL) when each copy stands at its step. @returns after what each stood */
export async function killAtEachStep(job: Job): Promise<string[]> {
  const child = fork(fileURLToPath(new URL('./teller.ts', import.meta.url)), [JSON.stringify(job)], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let words = '';
  child.stderr?.on('data', (chunk) => {
    words += chunk;
  });
  const gone = once(child, 'exit');
  try {
    const [standing]: string[][] = await Promise.race([once(child, 'message'), gone.then(() => [])]);
    if (!standing) throw new Error(`it ended before it stood still: ${words}`);
    return standing;
  } finally {
    child.kill('SIGKILL');
    await gone;
  }
}
