import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Task } from './runner.ts';

const script = fileURLToPath(new URL('./runner.ts', import.meta.url));

/** Migrates in a process of its own, and kills it (SIGKILL) once `rows` rows are filled. @returns how far it said it was */
export async function killedAfter(rows: number, task: Task): Promise<number> {
  const child = fork(script, [JSON.stringify(task)], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  let errors = '';
  let reached = 0;
  child.stderr?.on('data', (chunk) => {
    errors += chunk;
  });
  child.on('message', (progress: { rows: number }) => {
    reached = progress.rows;
    if (reached >= rows) child.kill('SIGKILL');
  });
  const [code, signal] = await once(child, 'close');
  if (signal !== 'SIGKILL') throw new Error(`The process ended by itself, with ${code}: ${errors}`);
  return reached;
}
