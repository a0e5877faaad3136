import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { onPath } from '../src/service.ts';

/** Polls until `probe` is truthy. */
export async function until(what: string, probe: () => unknown, timeoutMs = 5000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      last = await probe();
      if (last) return;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what} (last: ${last})`);
    await sleep(5);
  }
}

/** The error that `promise` rejects with, and how long that took. */
export async function failure(promise: Promise<unknown>): Promise<{ error: Error; ms: number }> {
  const began = performance.now();
  try {
    await promise;
  } catch (error) {
    if (error instanceof Error) return { error, ms: performance.now() - began };
    throw error;
  }
  throw new Error('it did not fail');
}

export async function temporary(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'services-test-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** A client that neither retries nor queues. */
export function client(url: string): Redis & AsyncDisposable {
  const redis = new Redis(url, { retryStrategy: () => null, maxRetriesPerRequest: 0, commandTimeout: 5000 });
  redis.on('error', () => {});
  return Object.assign(redis, {
    [Symbol.asyncDispose]: async () => {
      redis.disconnect();
    },
  });
}

/** A server on 127.0.0.1 that treats each connection as told: a stranger on the port, or a black hole. */
export async function stranger(
  port = 0,
  greet: (socket: Socket) => void = () => {},
): Promise<AsyncDisposable & { port: number }> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    greet(socket);
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

export function listens(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host: '127.0.0.1', port });
  socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
  return promise.finally(() => socket.destroy());
}

/** A script in a process of its own. It says what it has with `console.log(JSON.stringify(…))`, one line. */
export class Script {
  readonly child: ChildProcess;
  output = '';
  errors = '';

  constructor(file: string, env: NodeJS.ProcessEnv = {}, args: readonly string[] = []) {
    this.child = spawn(process.execPath, [fileURLToPath(new URL(`./scripts/${file}`, import.meta.url)), ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_OPTIONS: '', LABS_SERVICES: 'embedded', ...env },
    });
    this.child.stdout?.on('data', (chunk) => {
      this.output += chunk;
    });
    this.child.stderr?.on('data', (chunk) => {
      this.errors += chunk;
    });
  }

  /** Its first line. */
  async says<T>(): Promise<T> {
    await until(
      `${this.child.spawnfile} says something; stderr: ${this.errors}`,
      () => {
        if (this.output.includes('\n')) return true;
        if (this.child.exitCode !== null) throw new Error(`it exited with ${this.child.exitCode}: ${this.errors}`);
        return false;
      },
      15_000,
    );
    return JSON.parse(this.output.split('\n')[0] ?? '');
  }

  async ended(): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'exit');
    return this.child.exitCode;
  }
}

/** "key id" of the System V segments that the Postgres servers under `folder` note in their postmaster.pid. */
export async function segmentsUnder(folder: string): Promise<string[]> {
  const notes = await Promise.all(
    (await readdir(folder)).map((name) =>
      readFile(join(folder, name, 'data', 'postmaster.pid'), 'utf8').catch(() => ''),
    ),
  );
  return notes.flatMap((note) => note.split('\n')[6]?.trim().replace(/\s+/, ' ') ?? []);
}

/** Those of them that still exist. */
export async function stillThere(segments: readonly string[]): Promise<string[]> {
  const table = await readFile('/proc/sysvipc/shm', 'utf8').catch(() => '');
  const all = table.split('\n').map((line) => line.trim().split(/\s+/).slice(0, 2).join(' '));
  return segments.filter((segment) => all.includes(segment));
}

/** The least of the measurements: other tests share the processors, so one above `limit` ms is taken again. */
export async function least(limit: number, measure: () => Promise<number>): Promise<number> {
  let ms = Number.POSITIVE_INFINITY;
  for (let take = 0; take < 10 && ms >= limit; take += 1) ms = Math.min(ms, await measure());
  return ms;
}

/** A PATH with these programs and no other: scripts of the test's own, or (undefined) what this machine has. */
export async function pathOf(folder: string, programs: Record<string, string | undefined>): Promise<string> {
  const bin = join(folder, 'bin');
  await mkdir(bin, { recursive: true });
  for (const [name, script] of Object.entries(programs)) {
    if (script !== undefined) await writeFile(join(bin, name), script, { mode: 0o755 });
    else {
      const real = await onPath(name);
      if (real !== undefined) await symlink(real, join(bin, name));
    }
  }
  return bin;
}
