import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, statSync } from 'node:fs';
import { chmod, chown, mkdir, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processesIn } from './belongings.ts';
import { PortTakenError, ServerDiedError, StartTimeoutError } from './errors.ts';
import { end, send } from './estate.ts';
import type { Lever } from './faults.ts';
import { freePort } from './ports.ts';
import { type Entrusted, entrust } from './reaper.ts';

/** A program on this machine. */
export interface Program {
  readonly path: string;
  /** What it needs in its environment, e.g. LD_LIBRARY_PATH. */
  readonly env?: Readonly<Record<string, string>>;
}

/** The unprivileged user to become, for a server that refuses to run as root. */
export interface Identity {
  readonly uid: number;
  readonly gid: number;
}

/** How to run one server. */
export interface Recipe {
  readonly service: string;
  readonly program: Program;
  /** Created if need be; the server's working directory, and the mark by which its processes are found. */
  readonly folder: string;
  readonly args: (port: number) => readonly string[];
  /** One look, within a few ms: does *this* server (not a stranger on the same port) answer? */
  readonly ready: (server: { pid: number; port: number; folder: string }) => Promise<boolean>;
  readonly identity?: Identity | undefined;
  /** Insist on this port. Default: a free one. */
  readonly port?: number | undefined;
  /** Default 20000 ms. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

const ATTEMPTS = 5;
const LOG_LINES = 12;

/**
 * A folder for servers under the system's temporary folder, ours alone. Entrusted to the reaper before it exists.
 * @param gentle see Belonging
 */
export async function temporaryFolder(
  service: string,
  o: { identity?: Identity | undefined; base?: string; gentle?: NodeJS.Signals; after?: string } = {},
): Promise<{ path: string } & Entrusted> {
  const path = join(await realpath(o.base ?? tmpdir()), `labs-${service}-${randomBytes(6).toString('hex')}`);
  const entrusted = entrust({
    folder: path,
    ...(o.gentle && { gentle: o.gentle }),
    ...(o.after !== undefined && { after: { module: o.after, call: 'beforeRemoval', input: [path] } }),
  });
  await mkdir(path, { mode: 0o700 });
  if (o.identity) await chown(path, o.identity.uid, o.identity.gid);
  return { path, settle: entrusted.settle };
}

/** A server process of our own on 127.0.0.1. */
export class EmbeddedServer implements Lever {
  readonly #recipe: Recipe;
  #port = 0;
  #child: ChildProcess | undefined;

  private constructor(recipe: Recipe) {
    this.#recipe = recipe;
  }

  /** @throws PortTakenError, ServerDiedError, StartTimeoutError, or the signal's reason */
  static async start(recipe: Recipe): Promise<EmbeddedServer> {
    const server = new EmbeddedServer(recipe);
    await mkdir(recipe.folder, { recursive: true, mode: 0o700 });
    if (recipe.identity) await chown(recipe.folder, recipe.identity.uid, recipe.identity.gid);
    await chmod(recipe.folder, 0o700);
    for (let attempt = 1; ; attempt += 1) {
      server.#port = recipe.port ?? (await freePort());
      try {
        await server.start();
        return server;
      } catch (error) {
        // Between our look at the port and the server's bind somebody else may take it.
        const ourChoice = error instanceof PortTakenError && recipe.port === undefined;
        if (!ourChoice || attempt === ATTEMPTS) throw error;
      }
    }
  }

  get port(): number {
    return this.#port;
  }

  alive(): boolean {
    return this.#child !== undefined;
  }

  /** The last lines of the server's log. */
  logTail(from = 0): string {
    return this.#said(from).split('\n').slice(-LOG_LINES).join('\n');
  }

  #said(from: number): string {
    return readFileSync(this.#log()).subarray(from).toString('utf8').trimEnd();
  }

  async start(): Promise<void> {
    const { service, program, folder, args, identity, ready, signal } = this.#recipe;
    signal?.throwIfAborted();
    const log = openSync(this.#log(), 'a', 0o600);
    const logStart = statSync(this.#log()).size;
    const child = spawn(program.path, args(this.#port), {
      cwd: folder,
      // A session of its own: Ctrl-C in the terminal ends the lab, and the lab ends the server in order.
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, LC_ALL: 'C', ...program.env },
      ...identity,
    });
    closeSync(log);
    let ended: string | undefined;
    const { promise: gone, resolve: isGone } = Promise.withResolvers<false>();
    child.once('error', (error) => {
      ended ??= error.message;
      isGone(false);
    });
    child.once('exit', (code, by) => {
      ended ??= by === null ? `exit code ${code}` : `signal ${by}`;
      if (this.#child === child) this.#child = undefined;
      isGone(false);
    });
    child.unref();
    this.#child = child;

    const timeoutMs = this.#recipe.timeoutMs ?? 20_000;
    const deadline = performance.now() + timeoutMs;
    try {
      for (;;) {
        const { pid } = child;
        if (pid !== undefined) {
          const look = ready({ pid, port: this.#port, folder }).catch(() => false);
          if (await Promise.race([look, gone])) return;
        }
        if (ended !== undefined) {
          if (/address already in use/i.test(this.#said(logStart))) throw new PortTakenError(service, this.#port);
          throw new ServerDiedError(service, ended, this.logTail(logStart));
        }
        signal?.throwIfAborted();
        if (performance.now() > deadline) throw new StartTimeoutError(service, timeoutMs, this.logTail(logStart));
        await sleep(2);
      }
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child?.pid === undefined) this.#child = undefined;
    else {
      // The main process first, so that it starts no other; then what it leaves.
      send(child.pid, 'SIGKILL');
      if (child.exitCode === null && child.signalCode === null) {
        child.ref();
        await once(child, 'exit');
      }
    }
    await end(this.#recipe.folder, 'SIGKILL', 2000);
  }

  async pause(): Promise<void> {
    await this.#signal('SIGSTOP');
  }

  async resume(): Promise<void> {
    await this.#signal('SIGCONT');
  }

  async #signal(signal: 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    const main = this.#child?.pid;
    if (main === undefined) return;
    // The main process first: once stopped it forks no more, so the others are all of them.
    send(main, signal);
    for (const pid of await processesIn(this.#recipe.folder)) if (pid !== main) send(pid, signal);
    if (signal === 'SIGSTOP') await stopped(main);
  }

  #log(): string {
    return join(this.#recipe.folder, 'server.log');
  }
}

/** SIGSTOP takes effect a moment after kill() returns; a paused node must not answer one request more. */
async function stopped(pid: number): Promise<void> {
  if (process.platform !== 'linux') return;
  for (const deadline = performance.now() + 500; performance.now() < deadline; await sleep(1)) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
      if (stat[stat.lastIndexOf(')') + 2] === 'T') return;
    } catch {
      return;
    }
  }
}
