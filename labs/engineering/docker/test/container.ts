import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { until } from '@shared/testkit';

/** What a process in a pid namespace of its own has printed as its first line: test/shop.ts. */
export interface Container extends AsyncDisposable {
  readonly url: string;
  /** The number that the program has inside: 1, or another where something stands before it. */
  readonly pid: number;
  /** As `docker stop`: SIGTERM to process 1, and SIGKILL after `graceMs`. */
  stop(graceMs: number): Promise<{ readonly killed: boolean; readonly took: number }>;
}

const OWN = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];

/** Why nothing can be process 1 here; undefined where it can. */
export async function whyNoNamespace(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'only Linux has pid namespaces';
  const child = spawn('unshare', [...OWN, '--pid', '--fork', 'true'], { stdio: 'ignore' });
  const [code] = await once(child, 'exit').catch(() => [1]);
  return code === 0 ? undefined : 'no process may have a pid namespace of its own here';
}

/** Runs a command as process 1, as `docker run` does. It ends with this process: its standard input does. */
export async function contain(command: readonly string[], cwd: string): Promise<Container> {
  const child = spawn('unshare', [...OWN, '--pid', '--fork', '--kill-child', ...command], {
    cwd,
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const exited = once(child, 'exit');
  const ended = exited.then(() => {
    throw new Error(`${command.join(' ')} ended before it listened`);
  });
  ended.catch(() => {});
  // npm talks first.
  const listening = (async () => {
    for await (const line of createInterface(child.stdout)) if (line.startsWith('{')) return line;
    throw new Error(`${command.join(' ')} printed no address`);
  })();
  const { port, pid } = parse(await Promise.race([listening, ended]));
  child.stdout.resume();
  const first = await until(
    async () => Number((await readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')).trim()),
    { what: 'process 1' },
  );
  const gone = () => child.exitCode !== null || child.signalCode !== null;
  return {
    url: `http://127.0.0.1:${port}`,
    pid,
    async stop(graceMs) {
      const start = performance.now();
      process.kill(first, 'SIGTERM');
      const timer = setTimeout(() => process.kill(first, 'SIGKILL'), graceMs);
      await exited;
      clearTimeout(timer);
      const took = performance.now() - start;
      return { killed: took >= graceMs, took };
    },
    async [Symbol.asyncDispose]() {
      if (gone()) return;
      child.kill('SIGKILL');
      await exited;
    },
  };
}

function parse(line: string): { port: number; pid: number } {
  const said: unknown = JSON.parse(line);
  if (typeof said !== 'object' || said === null || !('port' in said && 'pid' in said)) throw new Error(line);
  return { port: Number(said.port), pid: Number(said.pid) };
}
