import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';

export interface ScriptOptions {
  readonly cwd: string;
  readonly env: { readonly [name: string]: string };
  /** Ends the script; so does the time limit. */
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  /** From SIGTERM to SIGKILL, in milliseconds. */
  readonly graceMs: number;
  /** Of the output the last so many characters are kept, in whole lines. */
  readonly maxLog: number;
}

export interface ScriptEnd {
  /** Null when the script was ended by a signal, or never began. */
  readonly exitCode: number | null;
  readonly ended: 'by itself' | 'timed out' | 'cancelled';
  readonly log: string;
  /** Lines of the output that tell the runner something, also where the log is cut. */
  readonly commands: readonly string[];
}

/**
 * Waits in the script's own process group until the pipe closes, be it by us or by our death, and ends the session: the
 * groups that `timeout` and `set -m` have made, then its own. So nothing of it outlives us, and the group's number can't
 * be given to a stranger while we may still signal it.
 */
const GUARD = `(trap '' TERM INT HUP; read -r _ <&3; for each in /proc/[0-9]*/stat; do read -r line <$each; set -- \${line##*) }; [ "$4" != $$ ] || [ "$3" = $$ ] || kill -KILL -$3; done; kill -KILL 0) </dev/null >/dev/null 2>&1 & exec 3<&-; exec "$@" 2>&1`;

/** Processes with all their children. Disposing of it ends what is left of them. */
export class Processes {
  readonly #open = new Map<number, Readable | null>();
  readonly #signalGroup: (leader: number, signal: NodeJS.Signals) => void;

  constructor(signalGroup: (leader: number, signal: NodeJS.Signals) => void) {
    this.#signalGroup = signalGroup;
  }

  /** Runs a program. What it leaves in the background goes on until this object is disposed of. Never rejects. */
  async run(argv: readonly string[], options: ScriptOptions): Promise<ScriptEnd> {
    const { cwd, env, signal, timeoutMs, graceMs, maxLog } = options;
    const log = new Tail(maxLog);
    let ended: ScriptEnd['ended'] = 'by itself';
    const { promise, resolve } = Promise.withResolvers<number | null>();
    let child: ReturnType<typeof spawn>;
    try {
      const stdio = ['ignore', 'pipe', 'ignore', 'pipe'] as const;
      child = spawn('bash', ['--noprofile', '--norc', '-c', GUARD, 'step', ...argv], {
        cwd,
        env,
        detached: true,
        stdio: [...stdio],
      });
    } catch (error) {
      return {
        exitCode: null,
        ended,
        commands: [],
        log: `It could not be started: ${error instanceof Error ? error.message : error}`,
      };
    }
    const { pid, stdout } = child;
    // Closed by our death, or by the end of the guard that reads it.
    const guard = child.stdio[3] as Socket | null;
    guard?.on('error', () => {}).resume();
    guard?.unref();
    if (pid !== undefined) this.#open.set(pid, stdout);
    stdout?.on('data', (chunk: Buffer) => log.add(chunk));
    child.once('error', (error) => {
      log.add(Buffer.from(`It could not be started: ${error.message}\n`));
      resolve(null);
    });
    child.once('exit', resolve);

    let kill: NodeJS.Timeout | undefined;
    const end = (why: ScriptEnd['ended']) => {
      if (kill || pid === undefined) return;
      ended = why;
      this.#signal(pid, 'SIGTERM');
      kill = setTimeout(() => this.#signal(pid, 'SIGKILL'), graceMs);
    };
    const onAbort = () => end('cancelled');
    const limit = setTimeout(() => end('timed out'), Math.min(timeoutMs, 2 ** 31 - 1));
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
    const exitCode = await promise;
    clearTimeout(limit);
    clearTimeout(kill);
    signal.removeEventListener('abort', onAbort);
    if (ended !== 'by itself' && pid !== undefined) this.#signal(pid, 'SIGKILL');
    if (pid !== undefined && stdout) await drained(stdout);
    stdout?.removeAllListeners('data').resume();
    if (ended !== 'by itself' && pid !== undefined) this.#finish(pid);
    return { exitCode, ended, log: log.text(), commands: log.commands };
  }

  #signal(pid: number, signal: NodeJS.Signals): void {
    for (const group of groupsOf(pid)) {
      try {
        this.#signalGroup(group, signal);
      } catch {
        // There is nobody left.
      }
    }
  }

  #finish(pid: number): void {
    this.#signal(pid, 'SIGKILL');
    // Whoever has left the session may hold it open for ever, and us alive.
    this.#open.get(pid)?.destroy();
    this.#open.delete(pid);
  }

  [Symbol.dispose](): void {
    for (const pid of [...this.#open.keys()]) this.#finish(pid);
  }
}

/** The process groups of a session: `timeout` and `set -m` make their own. Without /proc its leader's alone. */
function groupsOf(session: number): Set<number> {
  const groups = new Set([session]);
  for (const pid of existsSync('/proc/self/stat') ? readdirSync('/proc') : []) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      const [, rest = ''] = /.*\) (.*)/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
      const [, , group, of] = rest.split(' ').map(Number);
      if (of === session && group !== undefined) groups.add(group);
    } catch {
      // It has ended meanwhile.
    }
  }
  return groups;
}

/** Ends with the stream, or soon: a background process may hold it open for ever. */
async function drained(stream: Readable): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (stream.readableEnded) return;
  stream.once('end', resolve).once('close', resolve).once('error', resolve);
  // After a busy moment its last words still wait to be read: once more around the loop.
  const patience = setTimeout(() => setImmediate(resolve), 100);
  await promise;
  clearTimeout(patience);
}

/** The last lines of an output. Never half a line: half of a secret would not be masked. */
class Tail {
  readonly commands: string[] = [];
  readonly #max: number;
  readonly #decoder = new StringDecoder('utf8');
  #text = '';
  #cut = false;
  /** We are in a line whose beginning is gone. */
  #skipping = false;

  constructor(max: number) {
    this.#max = max;
  }

  add(chunk: Buffer): void {
    let text = this.#decoder.write(chunk);
    if (this.#skipping) {
      const line = text.indexOf('\n');
      if (line < 0) return;
      text = text.slice(line + 1);
      this.#skipping = false;
    }
    this.#text += text;
    if (this.#text.length > 2 * this.#max) this.#trim();
  }

  #trim(): void {
    const line = this.#text.indexOf('\n', this.#text.length - this.#max - 1);
    this.#skipping = line < 0;
    const from = line < 0 ? this.#text.length : line + 1;
    this.#note(this.#text.slice(0, from));
    this.#text = this.#text.slice(from);
    this.#cut = true;
  }

  #note(text: string): void {
    for (const [line] of text.matchAll(/^::(?:add-mask|set-output)\b.*$/gm)) this.commands.push(line);
  }

  /** To be called once, in the end. */
  text(): string {
    if (this.#text.length > this.#max) this.#trim();
    this.#note(this.#text);
    return this.#cut ? `[the beginning is cut off]\n${this.#text}` : this.#text;
  }
}
