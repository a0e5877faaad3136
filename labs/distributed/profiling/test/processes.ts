import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const CLINIC = fileURLToPath(new URL('./clinic.ts', import.meta.url));

export interface Shop extends AsyncDisposable {
  readonly pid: number;
  readonly child: ChildProcess;
  /** What the process has said on stderr. */
  readonly said: () => string;
  /** The share of its time that went into hotJson since the last question, as it measures itself. */
  truth(): Promise<number>;
  /** Its processor time so far, and for how many guests. */
  used(): Promise<Used>;
}

interface Used {
  readonly hot: number;
  readonly all: number;
  readonly guests: number;
  readonly cpuUs: number;
}

const isUsed = (value: unknown): value is Used => typeof value === 'object' && value !== null && 'cpuUs' in value;

/** Starts a process of test/clinic.ts. By default its inspector would open on any free port: many of these run at once. */
export async function openShop(
  busyWith = 'serving',
  flags: readonly string[] = ['--inspect-port=0'],
  more: readonly string[] = [],
): Promise<Shop> {
  const child = fork(CLINIC, [busyWith, ...more], { execArgv: [...flags], silent: true });
  let said = '';
  child.stderr?.on('data', (chunk) => {
    said += chunk;
  });
  child.stdout?.resume();
  const early = once(child, 'exit').then(() => {
    throw new Error(`the shop ended: ${said}`);
  });
  early.catch(() => {});
  await Promise.race([once(child, 'message'), early]);
  let before = { hot: 0, all: 0 };
  const used = async () => {
    child.send('used');
    const [now] = await once(child, 'message');
    if (isUsed(now)) return now;
    throw new Error(`the shop answered ${now}`);
  };
  return {
    pid: child.pid ?? NaN,
    child,
    said: () => said,
    used,
    async truth() {
      const now = await used();
      const share = (now.hot - before.hot) / (now.all - before.all);
      before = now;
      return share;
    },
    [Symbol.asyncDispose]: () => end(child),
  };
}

/** A process that is not Node.js: it ends when its input does, so with us. */
export function openCat(): Cat {
  const child = spawn('cat', { stdio: ['pipe', 'pipe', 'ignore'] });
  child.stdin.on('error', () => {});
  const purrs = () => {
    const heard = once(child.stdout, 'data').then(() => true);
    child.stdin.write('purr');
    return Promise.race([heard, once(child, 'exit').then(() => false)]);
  };
  return { pid: child.pid ?? NaN, child, purrs, [Symbol.asyncDispose]: () => end(child) };
}

interface Cat extends AsyncDisposable {
  readonly pid: number;
  readonly child: ChildProcess;
  /** Whether it says what it is told: a process that was killed is known as dead a moment later only. */
  purrs(): Promise<boolean>;
}

/** A process called `node-exporter` that ends at SIGUSR1 by its own will, or when its input does. */
export function openImpostor(): { readonly pid: number; readonly child: ChildProcess } & AsyncDisposable {
  const folder = mkdtempSync(join(tmpdir(), 'profiling-'));
  const file = join(folder, 'node-exporter');
  copyFileSync('/bin/bash', file);
  const child = spawn(file, ['-c', 'trap "exit 7" USR1; echo ready; while read -t 60; do :; done']);
  const dispose = async () => {
    await end(child);
    rmSync(folder, { recursive: true });
  };
  return { pid: child.pid ?? NaN, child, [Symbol.asyncDispose]: dispose };
}

export const lives = ({ child }: { readonly child: ChildProcess }) =>
  child.exitCode === null && child.signalCode === null;

export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

/** @returns the name of the error that another user gets who attaches to the process */
export async function runAsNobody(pid: number): Promise<string> {
  const child = fork(fileURLToPath(new URL('./nobody.ts', import.meta.url)), [String(pid)], { silent: true });
  const [answer] = await once(child, 'message');
  return String(answer);
}
