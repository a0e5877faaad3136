import { spawn } from 'node:child_process';
import { findPackageJSON } from 'node:module';
import { dirname, join } from 'node:path';

export interface Output {
  readonly stdout: string;
  readonly stderr: string;
  /** null when it was killed. */
  readonly code: number | null;
  readonly timedOut: boolean;
  readonly ms: number;
}

export interface ExecOptions {
  readonly cwd: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Milliseconds after which the program and everything that it started is killed. Default 600 000. */
  readonly timeoutMs?: number;
}

/** Runs a program without a shell, stdin closed, and waits for its end. Never rejects for what the program does. */
export function exec(program: string, args: readonly string[], options: ExecOptions): Promise<Output> {
  const start = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    const kill = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // Gone already.
      }
    };
    // A Ctrl-C reaches our group alone.
    process.once('exit', kill);
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      kill();
    }, options.timeoutMs ?? 600_000);
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      process.off('exit', kill);
      resolve({
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
        code,
        timedOut,
        ms: performance.now() - start,
      });
    });
  });
}

/** Runs the bin of an installed package by this Node. */
export function execBin(bin: string, args: readonly string[], options: ExecOptions): Promise<Output> {
  return exec(process.execPath, [bin, ...args], options);
}

/**
 * Runs the compiler. Another one runs beside it, so it uses one processor: several checkers of one program work out many
 * types several times. And it is over before it would pay to collect its garbage.
 */
export function execTsc(args: readonly string[], options: ExecOptions): Promise<Output> {
  const env = { ...(options.env ?? process.env), GOGC: process.env['GOGC'] ?? 'off' };
  return execBin(bins.tsc(), ['--checkers', '1', ...args], { ...options, env });
}

/** The folder of an installed package, as this package sees it. */
export function packageDir(name: string): string {
  const manifest = findPackageJSON(name, import.meta.url);
  if (manifest === undefined) throw new Error(`the package ${name} is not installed: run \`npx pnpm install\``);
  return dirname(manifest);
}

export const bins = {
  tsc: () => join(packageDir('typescript'), 'bin/tsc'),
  biome: () => join(packageDir('@biomejs/biome'), 'bin/biome'),
  knip: () => join(packageDir('knip'), 'bin/knip.js'),
  turbo: () => join(packageDir('turbo'), 'bin/turbo'),
} as const;
