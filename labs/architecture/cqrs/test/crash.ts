import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Job } from './crash-worker.ts';

export interface Death {
  readonly n: number;
  /** The statement that was answered last; undefined for the run that came through. */
  readonly after: string | undefined;
}

const script = fileURLToPath(new URL('./crash-worker.ts', import.meta.url));

/** Does the job once for each n, killed after the n-th answer, until a run comes through; then `check` looks at each. */
export async function killEverywhere(
  job: (n: number) => Promise<Job>,
  check: (death: Death) => Promise<void>,
): Promise<Death[]> {
  const deaths: Death[] = [];
  let next = 1;
  let last = Number.POSITIVE_INFINITY;
  const lane = async () => {
    while (next <= last) {
      const n = next++;
      const after = await run({ ...(await job(n)), killAt: n });
      if (after === undefined) last = Math.min(last, n);
      deaths.push({ n, after });
      await check({ n, after });
    }
  };
  await Promise.all([lane(), lane(), lane()]);
  return deaths.toSorted((a, b) => a.n - b.n);
}

async function run(argument: Job & { readonly killAt: number }): Promise<string | undefined> {
  const child = fork(script, [JSON.stringify(argument)], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  let after: string | undefined;
  let errors = '';
  child.on('message', (message) => {
    after = String(message);
  });
  child.stderr?.on('data', (chunk) => {
    errors += chunk;
  });
  const [code, signal] = await once(child, 'exit');
  if (signal === null && code !== 0) throw new Error(`the process ended with ${code}: ${errors}`);
  return signal === 'SIGKILL' ? (after ?? 'nothing') : undefined;
}
