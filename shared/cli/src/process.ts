import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import parseArgs from 'string-argv';
import { CommandError, exit } from './errors.ts';

/** A script of a lab's `package.json`, ready to run with this Node. */
export type NodeCommand = {
  /** Flags for Node itself: `['--import', 'tsx']`. */
  readonly flags: readonly string[];
  /** The file, relative to the lab's folder. */
  readonly file: string;
  readonly args: readonly string[];
};

/** Flags of Node that take the next word as their value. */
const valued = new Set([
  '--import',
  '--require',
  '-r',
  '--loader',
  '--experimental-loader',
  '--env-file',
  '--conditions',
  '-C',
]);

/**
 * Splits a script as a shell would, without running one: `node --import tsx demo.ts`.
 *
 * @throws {CommandError} where the script is anything but one call of `node`.
 */
export function parseScript(script: string, what: string): NodeCommand {
  const [program, ...words] = parseArgs(script);
  if (program !== 'node') {
    throw new CommandError(`${what} is "${script}": it must be one \`node FILE\` command, run without a shell`);
  }
  let at = 0;
  while (words[at]?.startsWith('-')) at += valued.has(words[at] ?? '') ? 2 : 1;
  const file = words[at];
  if (file === undefined) throw new CommandError(`${what} is "${script}": it names no file for node to run`);
  return { flags: words.slice(0, at), file, args: words.slice(at + 1) };
}

/**
 * Runs the command in a process of its own and waits for its end. The child shares our terminal, so a Ctrl-C there
 * reaches it directly, once; a signal sent to us alone is passed on. It dies with us, even by `kill -9`: its guard
 * sees the pipe between us close.
 *
 * @returns its exit code; 130 where Ctrl-C ended it, 1 where another signal did.
 */
export async function runNode(command: NodeCommand, cwd: string, env: NodeJS.ProcessEnv): Promise<number> {
  const child = spawnGuarded([...command.flags, command.file, ...command.args], {
    cwd,
    env,
    stdio: ['inherit', 'inherit', 'inherit'],
  });
  const terminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  const signals: NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  const pass = (signal: NodeJS.Signals) => {
    if (signal !== 'SIGINT' || !terminal) child.kill(signal);
  };
  for (const signal of signals) process.on(signal, pass);
  try {
    const { code, signal } = await ended(child);
    if (code !== null) return code;
    return signal === 'SIGINT' ? exit.interrupted : exit.failed;
  } finally {
    for (const signal of signals) process.off(signal, pass);
  }
}

type Stdio = 'inherit' | 'pipe' | 'ignore';

/** Starts Node with these arguments, in a process that ends when we are gone: its guard watches a fourth pipe between us. */
export function spawnGuarded(
  args: readonly string[],
  options: { readonly cwd: string; readonly env: NodeJS.ProcessEnv; readonly stdio: readonly [Stdio, Stdio, Stdio] },
): ChildProcess {
  const guard = fileURLToPath(new URL('./orphan-guard.ts', import.meta.url));
  return spawn(process.execPath, ['--import', guard, ...args], { ...options, stdio: [...options.stdio, 'pipe'] });
}

function ended(child: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    child.once('error', (cause) => reject(new CommandError(`node did not start: ${cause.message}`, { cause })));
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
}
