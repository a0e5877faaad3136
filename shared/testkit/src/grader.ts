import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type FromHost, killGroup, type ToHost } from './grader/messages.ts';
import { MissingImplementationError, type RunOptions, type SuiteResult } from './suite.ts';

export interface GraderOptions {
  /** How many test files run at once, whatever runs they belong to. Default 2. */
  readonly lanes?: number;
  /** Only one run will come: no server is started ahead for the next. Default false. */
  readonly once?: boolean;
}

/**
 * Runs the suite of one lab as often as it is asked, on any implementation. Vitest and the servers are started once;
 * what is graded is not: each test file has a process of its own, in which only its implementation is loaded, and servers
 * that nobody has used or that are as good as new. Runs that are asked for at the same time share the lanes.
 */
export interface Grader extends AsyncDisposable {
  /**
   * A hang is red and named, also one that blocks the event loop, and ends its file alone.
   * @throws {MissingImplementationError} when `impl` is no file.
   */
  run(options?: RunOptions): Promise<SuiteResult>;
}

/** The process that runs the tests is gone: killed from outside, most likely. */
export class GraderDiedError extends Error {
  override readonly name = 'GraderDiedError';
  readonly code = 'GRADER_DIED';

  constructor(dir: string, how: string) {
    super(`the process that runs the suite of ${dir} ended before it was done (${how}): run it again`);
  }
}

/** @param dir the lab's folder. Nothing is started before the first run. */
export function openGrader(dir: string, options: GraderOptions = {}): Grader {
  return new HostedGrader(dir, options);
}

interface Pending {
  readonly options: RunOptions;
  readonly resolve: (result: SuiteResult) => void;
  readonly reject: (error: unknown) => void;
}

class HostedGrader implements Grader {
  readonly #dir: string;
  readonly #args: readonly string[];
  readonly #pending = new Map<number, Pending>();
  readonly #groups = new Set<number>();
  #host: ChildProcess | undefined;
  #last = 0;

  constructor(dir: string, { lanes = 2, once = false }: GraderOptions) {
    this.#dir = dir;
    this.#args = [String(lanes), once ? 'once' : 'ahead'];
  }

  async run(options: RunOptions = {}): Promise<SuiteResult> {
    const { impl, signal, testName, testNames, file, files } = options;
    signal?.throwIfAborted();
    if (impl !== undefined && !existsSync(resolve(this.#dir, impl))) {
      throw new MissingImplementationError(this.#dir, impl);
    }
    this.#host ??= this.#start();
    this.#last += 1;
    const id = this.#last;
    const { promise, resolve: done, reject } = Promise.withResolvers<SuiteResult>();
    this.#pending.set(id, { options, resolve: done, reject });
    const names = testNames ?? (testName === undefined ? undefined : [testName]);
    const only = files ?? (file === undefined ? undefined : [file]);
    this.#tell({
      type: 'run',
      id,
      request: {
        ...(impl === undefined ? {} : { impl }),
        ...(names === undefined ? {} : { names }),
        ...(only === undefined ? {} : { files: only }),
        attempts: options.attempts ?? 1,
        bail: options.bail ?? false,
        env: options.env ?? {},
        deadlineMs: options.deadlineMs ?? 300_000,
        blockedMs: options.blockedMs ?? 6000,
        loadMs: options.loadMs ?? 30_000,
      },
    });
    const cancel = (): void => this.#tell({ type: 'cancel', id });
    signal?.addEventListener('abort', cancel);
    try {
      const result = await promise;
      signal?.throwIfAborted();
      return result;
    } finally {
      this.#pending.delete(id);
      signal?.removeEventListener('abort', cancel);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const host = this.#host;
    this.#host = undefined;
    if (host === undefined || host.exitCode !== null || host.signalCode !== null) return;
    const ended = once(host, 'exit');
    // Its servers end with it, in peace; what does not listen any more is ended by force.
    if (host.connected) host.disconnect();
    const force = setTimeout(() => killGroup(host.pid), 5000);
    await ended;
    clearTimeout(force);
  }

  #start(): ChildProcess {
    const host = spawn(process.execPath, [join(import.meta.dirname, 'grader/host.ts'), ...this.#args], {
      cwd: this.#dir,
      // A group of its own: a Ctrl-C in the terminal reaches us, and the end of the channel between us reaches it.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: environment(),
    });
    let words = '';
    const collect = (chunk: Buffer): void => {
      words = `${words}${chunk}`.slice(-4000);
      for (const { options } of this.#pending.values()) options.onOutput?.(String(chunk));
    };
    host.stdout?.on('data', collect);
    host.stderr?.on('data', collect);
    host.on('message', (message: FromHost) => this.#hear(message));
    const kill = (): void => {
      killGroup(host.pid);
      for (const pid of this.#groups) killGroup(pid);
    };
    process.once('exit', kill);
    const gone = (how: string): void => {
      process.off('exit', kill);
      for (const pid of this.#groups) killGroup(pid);
      this.#groups.clear();
      if (this.#host === host) this.#host = undefined;
      const error = new GraderDiedError(this.#dir, [how, words.trim()].filter((each) => each !== '').join('\n'));
      for (const { reject } of this.#pending.values()) reject(error);
    };
    host.once('error', (error) => gone(error.message));
    host.once('exit', (code, signal) => gone(signal === null ? `exit code ${code}` : `signal ${signal}`));
    return host;
  }

  #tell(message: ToHost): void {
    if (this.#host?.connected) this.#host.send(message);
  }

  #hear(message: FromHost): void {
    if (message.type === 'group') {
      if (message.up) this.#groups.add(message.pid);
      else this.#groups.delete(message.pid);
      return;
    }
    const pending = this.#pending.get(message.id);
    if (pending === undefined) return;
    if (message.type === 'test') pending.options.onTest?.(message.test);
    else if (message.type === 'output') pending.options.onOutput?.(message.text);
    else if (message.type === 'result') pending.resolve(message.result);
    else pending.reject(new Error(message.why));
  }
}

function environment(): NodeJS.ProcessEnv {
  const { LAB_IMPL: _impl, LAB_TRACE: _trace, LABS_LESSOR: _lessor, FORCE_COLOR: _color, ...env } = process.env;
  return {
    ...env,
    NO_COLOR: '1',
    // Starting vitest takes 0.4 s with it and 0.65 s without. The folder is the one of module.enableCompileCache().
    NODE_COMPILE_CACHE: env['NODE_COMPILE_CACHE'] ?? join(tmpdir(), 'node-compile-cache'),
  };
}
