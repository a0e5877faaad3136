import { availableParallelism } from 'node:os';
import { deserialize, serialize } from 'node:v8';
import type { Transferable } from 'node:worker_threads';
import { InvalidArgumentError, inWords } from './errors.ts';
import type { ErrorClass } from './remote-error.ts';
import type { Limits, WorkerKind } from './transport.ts';

/** The names of a module's functions of one input (or none). `T` is `typeof import('./tasks.ts')`. */
export type TaskName<T> = {
  [K in keyof T]: T[K] extends (input: never) => unknown ? K : never;
}[keyof T] &
  string;
export type Input<T, K extends keyof T> = T[K] extends (input: infer I) => unknown ? I : never;
export type Output<T, K extends keyof T> = T[K] extends (input: never) => infer R ? Awaited<R> : never;

export interface ExecutorOptions<T> {
  /** The module whose exported functions are the tasks. Plain JavaScript when it lies below node_modules. */
  readonly file: URL;
  /** `thread`: starts fast, can share memory. `process`: also survives what ends a whole process (`process.abort()`). */
  readonly kind: WorkerKind;
  /** How many tasks run at once, at most. Default: `os.availableParallelism()`. */
  readonly maxWorkers?: number;
  /** Workers that are started in advance and replaced when they end. The others start when there is work. Default 0. */
  readonly minWorkers?: number;
  /** Called once in each worker before its first task; its input is copied when the pool is made. If it fails, the pool is broken. */
  readonly initializer?: { [K in TaskName<T>]: { readonly name: K; readonly input: Input<T, K> } }[TaskName<T>];
  /** A worker is replaced after so many tasks: what leaks is bounded. Default: never. */
  readonly maxTasksPerChild?: number;
  /** How many tasks may wait, beside those that run. Default: no limit. */
  readonly maxQueue?: number;
  /** Heap of each worker, in MB. Buffers lie outside of it. */
  readonly resourceLimits?: Limits;
  /** Classes of errors that keep `instanceof` on their way back (not their private fields). Native ones do anyway. */
  readonly errors?: readonly ErrorClass[];
}

export interface SubmitOptions {
  /** Takes the task from the queue, or ends the worker that runs it. The future rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Milliseconds that the task may run; then its worker is ended. Waiting in the queue doesn't count. */
  readonly timeoutMs?: number;
  /** Higher runs first; equals run in the order of their submission. Default 0. */
  readonly priority?: number;
  /** What is moved instead of copied: gone here once `submit` returns. Threads only. */
  readonly transfer?: readonly Transferable[];
}

export interface MapOptions extends Omit<SubmitOptions, 'transfer'> {
  /** Inputs that travel as one task. Raise it when an input costs less than its journey. Default 1. */
  readonly chunksize?: number;
  /** Chunks that are submitted before their results are asked for, at most. Default: twice `maxWorkers`. */
  readonly buffersize?: number;
}

/** Node fires a timer beyond this at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export function checkTimeout(timeoutMs: number | undefined): void {
  if (timeoutMs === undefined || (typeof timeoutMs === 'number' && timeoutMs >= 0 && timeoutMs <= LONGEST_TIMER_MS))
    return;
  throw new InvalidArgumentError(`timeoutMs must be from 0 to ${LONGEST_TIMER_MS}; it is ${inWords(timeoutMs)}.`);
}

/** A whole number of at least `from`, or `Infinity` where that is the default. */
export function checkCount(name: string, value: number | undefined, from: number, fallback: number): number {
  if (value === undefined) return fallback;
  if ((Number.isSafeInteger(value) && value >= from) || (value === Number.POSITIVE_INFINITY && fallback === value)) {
    return value;
  }
  throw new InvalidArgumentError(`${name} must be a whole number of at least ${from}; it is ${inWords(value)}.`);
}

export function checkSubmit(kind: WorkerKind, { timeoutMs, priority = 0, transfer = [] }: SubmitOptions): void {
  checkTimeout(timeoutMs);
  if (!Number.isFinite(priority))
    throw new InvalidArgumentError(`priority must be a finite number; it is ${inWords(priority)}.`);
  if (kind === 'process' && transfer.length > 0) {
    throw new InvalidArgumentError('A process has a memory of its own: nothing can be transferred to it.');
  }
}

/** @throws InvalidArgumentError on what no pool can be made from. */
export function checkOptions<T>(options: ExecutorOptions<T>) {
  const { file, kind } = options;
  if (!(file instanceof URL)) {
    throw new InvalidArgumentError(
      `file must be a URL, as in new URL('./tasks.ts', import.meta.url); it is ${inWords(file)}.`,
    );
  }
  if (kind !== 'thread' && kind !== 'process') {
    throw new InvalidArgumentError(`kind must be "thread" or "process"; it is ${inWords(kind)}.`);
  }
  const maxWorkers = checkCount('maxWorkers', options.maxWorkers, 1, availableParallelism());
  const minWorkers = checkCount('minWorkers', options.minWorkers, 0, 0);
  if (minWorkers > maxWorkers) {
    throw new InvalidArgumentError(`minWorkers (${minWorkers}) must not exceed maxWorkers (${maxWorkers}).`);
  }
  const { maxOldGenerationSizeMb } = options.resourceLimits ?? {};
  checkCount('maxOldGenerationSizeMb', maxOldGenerationSizeMb, 1, 1);
  return {
    file: file.href,
    kind,
    maxWorkers,
    minWorkers,
    initializer: options.initializer && copied(kind, options.initializer),
    maxTasksPerChild: checkCount('maxTasksPerChild', options.maxTasksPerChild, 1, Number.POSITIVE_INFINITY),
    maxQueue: checkCount('maxQueue', options.maxQueue, 0, Number.POSITIVE_INFINITY),
    resourceLimits: maxOldGenerationSizeMb === undefined ? {} : { maxOldGenerationSizeMb },
    errors: [...(options.errors ?? [])],
  };
}

function copied(kind: WorkerKind, { name, input }: { readonly name: string; readonly input: unknown }) {
  try {
    return { name, input: kind === 'process' ? deserialize(serialize(input)) : structuredClone(input) };
  } catch (cause) {
    throw new InvalidArgumentError(`The input of the initializer can't be copied: ${inWords(cause)}`, { cause });
  }
}
