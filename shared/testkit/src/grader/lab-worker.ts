import { type ChildProcess, fork } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { join } from 'node:path';
import type { PoolOptions, PoolWorker, WorkerRequest } from 'vitest/node';
import { killGroup } from './messages.ts';

export interface LabWorkerOptions {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly output: (text: string) => void;
  /** Told of the worker's process, and of its end. */
  readonly onGroup: (pid: number, up: boolean) => void;
}

const RESOLVED = new URL('../resolved.ts', import.meta.url).href;

type Listener = Parameters<PoolWorker['on']>[1];

/**
 * A process for one test file, as vitest's own pool `forks` has them, but the leader of a group of its own: whatever the
 * tests started ends with it, and nothing waits for what they left open.
 */
export class LabWorker implements PoolWorker {
  readonly name = 'lab';
  readonly cacheFs = true;
  readonly #pool: PoolOptions;
  readonly #options: LabWorkerOptions;
  readonly #events = new EventEmitter();
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();

  constructor(pool: PoolOptions, options: LabWorkerOptions) {
    this.#pool = pool;
    this.#options = options;
    // What fails after the end is nobody's business.
    this.#events.on('error', () => {});
  }

  on(event: string, listener: Listener): void {
    this.#events.on(event, listener);
  }

  off(event: string, listener: Listener): void {
    this.#events.off(event, listener);
  }

  async start(): Promise<void> {
    const { cwd, env, output, onGroup } = this.#options;
    const child = fork(join(this.#pool.distPath, 'workers/forks.js'), [], {
      cwd,
      env: { ...this.#pool.env, ...env },
      execArgv: [...this.#pool.execArgv, '--import', RESOLVED],
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      serialization: 'advanced',
      detached: true,
    });
    this.#child = child;
    const { pid } = child;
    if (pid !== undefined) onGroup(pid, true);
    child.stdout?.on('data', (chunk: Buffer) => output(String(chunk)));
    child.stderr?.on('data', (chunk: Buffer) => output(String(chunk)));
    child.on('message', (message) => this.#events.emit('message', message));
    child.on('error', (error) => {
      // A process that is gone says so itself, with its exit code.
      if (!('code' in error) || (error.code !== 'EPIPE' && error.code !== 'ERR_IPC_CHANNEL_CLOSED')) {
        this.#events.emit('error', error);
      }
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#ended = promise;
    child.once('exit', (code, signal) => {
      killGroup(pid);
      if (pid !== undefined) onGroup(pid, false);
      this.#events.emit('exit', code, signal);
      resolve();
    });
  }

  send(message: WorkerRequest): void {
    if (message.type !== 'stop') {
      this.#child?.send(message);
      return;
    }
    // No farewell: the results are in, and a test that left a timer or a server behind must not be waited for.
    killGroup(this.#child?.pid);
    this.#events.emit('message', { type: 'stopped', __vitest_worker_response__: true });
  }

  deserialize(data: unknown): unknown {
    return data;
  }

  async stop(): Promise<void> {
    killGroup(this.#child?.pid);
    await this.#ended;
  }
}
