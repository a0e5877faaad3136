import { setTimeout as pause } from 'node:timers/promises';
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { InvalidArgumentError, PermanentError } from './errors.ts';
import {
  checkLimit,
  checkTask,
  type Json,
  type Result,
  type Task,
  type TaskContext,
  type TaskOptions,
} from './tasks.ts';

export interface SandboxOptions extends TaskOptions {
  /**
   * Milliseconds after which the thread of a run is ended, whatever it does: 1 to 2 147 483 647, above `softLimitMs`.
   * Counted from its start, the loading of the module included. The run has failed, and is tried again as any other.
   */
  readonly hardLimitMs: number;
}

/** What a thread is started with. */
export interface Start {
  readonly module: string;
  readonly payload: Json;
  readonly id: string;
  readonly attempt: number;
  readonly line: MessagePort;
}

/** What the thread is told: why its signal aborts. */
export interface Abort {
  readonly name: string;
  readonly message: string;
}

/** What the thread tells. */
export type Said =
  | { readonly progress: number }
  | { readonly value: Result }
  | { readonly failure: string; readonly stack: string | undefined; readonly permanent: boolean };

type Run = (payload: never, context: TaskContext) => Result | Promise<Result>;
/** As `task` would have it: one that looks at no payload takes any, and none gets what doesn't survive the journey. */
type Taken<F extends Run> = F extends (payload: Json, context: TaskContext) => unknown
  ? Json
  : Extract<Parameters<F>[0], Json>;

/**
 * Declares a task that is the default export of `module`, and of which every run gets a worker thread of its own:
 * `sandboxed<typeof import('./scan.ts').default>(new URL('./scan.ts', import.meta.url), { hardLimitMs: 60_000 })`.
 *
 * JavaScript is ended wherever it stands, a loop that never yields included, and its sockets are closed; no `finally` of
 * it runs. A native call that blocks (`pbkdf2Sync`) is waited for, and processes that it has started go on. The price is
 * the start of a thread, and of the module's imports, for each run. Only Node's own type stripping is at hand there:
 * plain JavaScript below node_modules. A payload that isn't `Json` is refused where it is sent.
 *
 * @throws InvalidArgumentError on a limit that no timer can keep, or a soft one that isn't below the hard one
 */
export function sandboxed<F extends Run>(module: URL, options: SandboxOptions): Task<Taken<F>, Awaited<ReturnType<F>>> {
  const { hardLimitMs, ...rest } = options;
  const { softLimitMs } = rest;
  checkLimit('hardLimitMs', hardLimitMs);
  checkTask(rest);
  if (softLimitMs !== undefined && softLimitMs >= hardLimitMs) {
    throw new InvalidArgumentError(`softLimitMs (${softLimitMs}) must be below hardLimitMs (${hardLimitMs}).`);
  }
  const run = async (payload: Taken<F>, context: TaskContext) => {
    const { default: here } = await import(module.href);
    return here(payload, context);
  };
  return { ...rest, run, sandbox: { module, hardLimitMs } };
}

// Where src/ is compiled, so is the thread. Below node_modules it has to be: Node strips no types there.
const entry = import.meta.url.endsWith('.ts')
  ? new URL('./thread.ts', import.meta.url)
  : new URL('./thread.js', import.meta.url);

/** A result waits no longer for somebody to read what its thread has printed. */
const PRINTING_MS = 1_000;

/**
 * Starts one run of `module` in a thread. Its result comes once what it has printed is read. Whoever starts it ends it:
 * its result alone doesn't.
 */
export function startThread(module: URL, payload: Json, { id, attempt, signal, progress }: TaskContext) {
  // A line of our own: what a module says over its `parentPort` is for somebody else.
  const { port1: here, port2: line } = new MessageChannel();
  const start: Start = { module: module.href, payload, id, attempt, line };
  const thread = new Worker(entry, { workerData: start, transferList: [line] });
  const { promise: result, resolve, reject } = Promise.withResolvers<Result>();
  const abort = () => {
    const { name, message }: Error = signal.reason;
    here.postMessage({ name, message } satisfies Abort);
  };
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort);
  const hear = (said: Said) => {
    if ('progress' in said) progress(said.progress).catch(reject);
    else if ('value' in said) resolve(said.value);
    else reject(revive(said));
  };
  const { promise: printed, resolve: close } = Promise.withResolvers<void>();
  here.on('message', hear);
  here.on('close', close);
  thread.on('error', reject);
  thread.on('exit', (code) => {
    signal.removeEventListener('abort', abort);
    // Its last words may be under way.
    for (let last = receiveMessageOnPort(here); last; last = receiveMessageOnPort(here)) hear(last.message);
    here.close();
    reject(new Error(`its thread ended with code ${code} before it had a result`));
  });
  const isRead = () => Promise.race([printed, pause(PRINTING_MS, undefined, { ref: false })]);
  return { thread, result: result.finally(isRead) };
}

function revive({ failure, stack, permanent }: Extract<Said, { failure: string }>): Error {
  const error = permanent ? new PermanentError(failure) : new Error(failure);
  if (stack !== undefined) error.stack = stack;
  return error;
}
