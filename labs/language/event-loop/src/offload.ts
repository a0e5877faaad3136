import { type Transferable, Worker } from 'node:worker_threads';
import { InvalidArgumentError, ThreadEndedError } from './errors.ts';

/** The names of a module's functions of one input (or none). `T` is `typeof import('./tasks.ts')`. */
export type FunctionName<T> = { [K in keyof T]: T[K] extends (input: never) => unknown ? K : never }[keyof T] & string;
export type Input<T, K extends keyof T> = T[K] extends (input: infer I) => unknown ? I : never;
export type Output<T, K extends keyof T> = T[K] extends (input: never) => infer R ? Awaited<R> : never;

export interface OffloadOptions {
  /** Ends the thread where it stands; the promise rejects with the signal's reason at once. */
  readonly signal?: AbortSignal;
  /** What is moved instead of copied: gone here. A SharedArrayBuffer is neither, it is in both threads. */
  readonly transfer?: readonly Transferable[];
}

// Where src/ is compiled, so is the thread. Below node_modules it has to be: Node strips no types there.
const entry = import.meta.url.endsWith('.ts')
  ? new URL('./offload-thread.ts', import.meta.url)
  : new URL('./offload-thread.js', import.meta.url);

/**
 * The exported functions of a module, to be called in a thread of their own: `offload<typeof import('./tasks.ts')>(url)`.
 * Each call starts a thread (some 30 ms) and ends it. For many small tasks: a pool of threads that stay.
 *
 * A call rejects with what the function threw (the class of an error is kept when it is a native one), with
 * ThreadEndedError when the thread ended without a result, and with InvalidArgumentError when the input can't be copied.
 */
export function offload<T extends object>(module: URL) {
  if (!(module instanceof URL)) {
    throw new InvalidArgumentError(
      `module must be a URL, as in new URL('./tasks.ts', import.meta.url); it is ${String(module)}.`,
    );
  }
  return <K extends FunctionName<T>>(name: K, input: Input<T, K>, options: OffloadOptions = {}) =>
    call<Output<T, K>>({ module: module.href, name, input }, options);
}

/** Which function of which module is called, with what. */
export interface Task {
  readonly module: string;
  readonly name: string;
  readonly input: unknown;
}

function call<R>(workerData: Task, { signal, transfer = [] }: OffloadOptions) {
  return new Promise<R>((resolve, reject) => {
    signal?.throwIfAborted();
    const worker = startThread(workerData, transfer);
    const abort = () => settle(() => reject(signal?.reason));
    const settle = (how: () => void) => {
      signal?.removeEventListener('abort', abort);
      how();
      void worker.terminate();
    };
    worker.once('message', (result: R) => settle(() => resolve(result)));
    worker.once('error', (error) => settle(() => reject(error)));
    worker.once('exit', (code) =>
      settle(() =>
        reject(new ThreadEndedError(`The thread of "${workerData.name}" ended with code ${code} and no result.`)),
      ),
    );
    signal?.addEventListener('abort', abort);
  });
}

/** A thread that calls one function: its result is a message, what it throws an 'error' event, then comes 'exit'. */
export function startThread(workerData: Task, transfer: readonly Transferable[]): Worker {
  try {
    return new Worker(entry, { workerData, transferList: [...transfer] });
  } catch (cause) {
    throw new InvalidArgumentError(`The input can't be copied to a thread: ${cause}`, { cause });
  }
}
