import { fork } from 'node:child_process';
import { inspect } from 'node:util';
import { deserialize, serialize } from 'node:v8';
import {
  checkNumber,
  type Exit,
  InvalidArgumentError,
  readThrown,
  TaskError,
  UncloneableError,
  WorkerLostError,
} from './errors.ts';
import { type Done, type FromProcess, isFromProcess, type ToProcess } from './protocol.ts';

/** The module of the tasks: one function, its default export. Its input and result are copied (structured clone). */
export interface Entry {
  readonly default: (input: never) => unknown;
}
export type Input<M extends Entry> = Parameters<M['default']>[0];
export type Output<M extends Entry> = Awaited<ReturnType<M['default']>>;

export interface HybridOptions {
  /** Processes: a crash takes the tasks of one of them. */
  readonly processes: number;
  /** Threads in each. Processes × threads is how many tasks run at once: `recommend` has figures to begin with. */
  readonly threadsPerProcess: number;
  /** The module of the tasks. Node takes TypeScript, but not from below node_modules. */
  readonly entry: URL;
  /** Milliseconds that what was taken has for its end once we are closing. Default 5000. */
  readonly drainMs?: number;
}

export interface HybridStats {
  /** Process ids of the processes that were started and have not ended. */
  readonly pids: readonly number[];
  /** Places that are taken: also by a task that was given up and whose thread has not gone yet. */
  readonly running: number;
  readonly waiting: number;
}

/** A task from `run` to its end. To resolve or to reject it a second time has no effect. */
export interface Job {
  readonly id: number;
  readonly body: Uint8Array;
  resolve(value: unknown): void;
  reject(reason: unknown): void;
}

/** A process of ours, from its start until it has gone. */
export interface Child {
  readonly pid: number | undefined;
  state: 'starting' | 'ready' | 'ending';
  /** What it was given and has not done. */
  readonly jobs: Map<number, Job>;
  post(message: ToProcess): void;
  /** SIGKILL. */
  kill(): void;
}

// Where src/ is compiled, so is this. Below node_modules it has to be: Node strips no types there.
const file = import.meta.url.endsWith('.ts')
  ? new URL('./hybrid-process.ts', import.meta.url)
  : new URL('./hybrid-process.js', import.meta.url);

/** The way in, and the wire: tasks are checked, copied and queued, processes are started and listened to. */
export abstract class HybridBase<M extends Entry> {
  protected readonly options: Required<HybridOptions>;
  protected readonly queue = new Set<Job>();
  protected readonly children = new Set<Child>();
  #ids = 0;

  constructor({ processes, threadsPerProcess, entry, drainMs = 5_000 }: HybridOptions) {
    if (!(entry instanceof URL)) throw new InvalidArgumentError(`entry is ${inspect(entry)}: it must be a URL.`);
    this.options = {
      processes: checkNumber('processes', processes, 1, 1_024, true),
      threadsPerProcess: checkNumber('threadsPerProcess', threadsPerProcess, 1, 1_024, true),
      entry,
      drainMs: checkNumber('drainMs', drainMs, 0, 2 ** 31 - 1),
    };
  }

  /** Something has changed: a task waits, a process is ready, a task is done, a process has gone, we are closing. */
  protected abstract fill(): void;
  protected abstract hear(child: Child, message: FromProcess): void;
  protected abstract exited(child: Child, exit: Exit): void;
  protected abstract abandon(job: Job, reason: unknown): void;
  protected abstract assertOpen(): void;

  /**
   * Runs the task in a thread of one of the processes. The queue has no limit of its own.
   * @param options.signal Takes the task out of the queue, or ends the thread in which it runs. It rejects with its reason.
   * Rejects with TaskError, WorkerLostError, UncloneableError, BrokenHybridError, ClosedError or DrainTimeoutError.
   */
  async run(input: Input<M>, { signal }: { readonly signal?: AbortSignal } = {}): Promise<Output<M>> {
    signal?.throwIfAborted();
    this.assertOpen();
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const job = { id: this.#ids++, body: pack(input), resolve, reject };
    const leave = () => this.abandon(job, signal?.reason);
    signal?.addEventListener('abort', leave);
    this.queue.add(job);
    this.fill();
    try {
      // What travels is what the module's function returned: its type says so.
      return (await promise) as Output<M>;
    } finally {
      signal?.removeEventListener('abort', leave);
    }
  }

  stats(): HybridStats {
    const children = [...this.children];
    return {
      pids: children.flatMap(({ pid }) => pid ?? []),
      running: children.reduce((sum, { jobs }) => sum + jobs.size, 0),
      waiting: this.queue.size,
    };
  }

  /** The process with the fewest tasks, if it has a thread for another: what a crash takes is kept small. */
  protected freest(): Child | undefined {
    const ready = [...this.children].filter(({ state }) => state === 'ready');
    const [child] = ready.sort((a, b) => a.jobs.size - b.jobs.size);
    return child && child.jobs.size < this.options.threadsPerProcess ? child : undefined;
  }

  protected start(): void {
    const { entry, threadsPerProcess } = this.options;
    const args = [entry.href, `${threadsPerProcess}`];
    const forked = fork(file, args, { serialization: 'advanced', execArgv: ownFlags() });
    const child: Child = {
      pid: forked.pid,
      state: 'starting',
      jobs: new Map(),
      // To post to a process that has gone is silently nothing: its end says what there is to say.
      post: (message) => void forked.send(message, () => {}),
      // Where none could be started this would be kill(0): of our whole process group.
      kill: () => void (forked.pid !== undefined && forked.kill('SIGKILL')),
    };
    this.children.add(child);
    forked.on('message', (said: unknown) => isFromProcess(said) && this.hear(child, said));
    // Not 'exit': that may come before the last message. Where none could be started only 'error' comes.
    forked.on('close', (code, signal) => this.exited(child, { code, signal }));
    const failed = (error: Error) => this.exited(child, { code: null, signal: null, error: readThrown(error) });
    forked.on('error', (error) => forked.pid === undefined && failed(error));
  }
}

/** How a task has ended, told to who waits for it. */
export function settle(job: Job, { result }: Done, pid: number | undefined): void {
  if ('thrown' in result) job.reject(new TaskError(result.thrown));
  else if ('exit' in result) job.reject(new WorkerLostError('The thread', pid, result.exit));
  else {
    try {
      if ('uncloneable' in result) throw new Error(result.uncloneable);
      // A thread has a deeper stack than we: what it could write we may fail to read.
      job.resolve(deserialize(result.body));
    } catch (cause) {
      job.reject(new UncloneableError('What the task returned', cause));
    }
  }
}

/** A copy, made at once: what the caller does to the original afterwards has no effect. */
function pack(input: unknown): Uint8Array {
  try {
    return serialize(input);
  } catch (cause) {
    throw new UncloneableError('The input', cause);
  }
}

/** The flags that we were started with, less a program that is no file (`node -e CODE`): each worker would run it. */
function ownFlags(): string[] {
  const withValue = /^(-e|-p|-pe|--eval|--print|--input-type)$/;
  return process.execArgv.filter(
    (flag, at, flags) =>
      !withValue.test(flag) && !withValue.test(flags[at - 1] ?? '') && !/^--(eval|print|input-type)=/.test(flag),
  );
}
