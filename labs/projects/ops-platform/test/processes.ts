import { readdir, readFile } from 'node:fs/promises';

/** Whether a process is stopped, as by SIGSTOP (Linux). */
export async function isStopped(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, 'latin1');
  return status.slice(status.lastIndexOf(')') + 2).startsWith('T');
}

/** The processes of a group that have not ended (Linux). */
export async function runningIn(group: number): Promise<readonly number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    const status = /^\d+$/.test(name) ? await readFile(`/proc/${name}/stat`, 'latin1').catch(() => '') : '';
    const [state, , ofGroup] = status.slice(status.lastIndexOf(')') + 2).split(' ');
    if (status !== '' && state !== 'Z' && Number(ofGroup) === group) found.push(Number(name));
  }
  return found;
}
