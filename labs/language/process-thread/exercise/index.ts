import { availableParallelism } from 'node:os';
import { cpuGroups, quotaOf, readAffinity, reader, readMachine } from '../src/cpu.ts';
import type { Exit, HybridError, WorkerLostError } from '../src/errors.ts';
import { type Child, HybridBase, type Job, settle } from '../src/hybrid-base.ts';
import type { Cpu, Entry, HybridOptions, Kind, Plan, Sizing, Workload } from '../src/index.ts';
import type { FromProcess } from '../src/protocol.ts';
import { checkWorkload, whole } from '../src/recommend.ts';

// Given: the files of Linux and how they are read (src/cpu.ts), the workload's checks (recommend.ts), the processes, their
// threads and the way to them (hybrid-base.ts: read `Job`, `Child` and `run` first; protocol.ts). Yours: the figures, and
// what becomes of a task whatever happens to its process. `h` in `pnpm lab learn process-thread` helps.
//
// The errors that you throw are imported by name from '../src/errors.ts'. Each takes a message and `{ cause }`, but for
// `new WorkerLostError('The process', child.pid, exit)` and `new TaskError(message.error)`.
export type {
  Cpu,
  Entry,
  Exit,
  HybridOptions,
  HybridStats,
  Input,
  Kind,
  Output,
  Plan,
  RemoteError,
  Sizing,
  Workload,
} from '../src/index.ts';
export {
  BrokenHybridError,
  ClosedError,
  calibrate,
  DrainTimeoutError,
  HybridError,
  InvalidArgumentError,
  TaskError,
  UncloneableError,
  WorkerLostError,
} from '../src/index.ts';

/**
 * The rule of thumb as it is taught.
 * - `cpu`: a process for each physical core, with one thread;
 * - `io`: one process, five threads for each logical core;
 * - `mixed`: a process for each physical core, and the logical cores shared among them as threads.
 */
export function ruleOfThumb(_kind: Kind, _cpu: Pick<Cpu, 'physical' | 'logical'>): Sizing {
  return todo('ruleOfThumb');
}

/**
 * What this process can compute on. Given is the machine; yours is what of it is ours:
 * - `affinity`: `readAffinity(read)` counts the processors we may run on, and doesn't know outside of Linux;
 * - `quota`: each of `cpuGroups(read)` may have one (`quotaOf(read, group)`, in cores), and all of them hold;
 * - `effective`: how many of ours can compute at once and all the time. Whole, at least 1.
 */
export function detectCpu(root = '/'): Cpu {
  const read = reader(root);
  const machine = readMachine(read);
  const affinity = readAffinity(read) ?? availableParallelism();
  const quota = cpuGroups(read).map((group) => quotaOf(read, group))[0];
  return { ...machine, affinity, quota, effective: machine.logical };
}

/**
 * How many processes, threads in each, and tasks under way. `checkWorkload` refuses what can't be. What is known is in
 * `workload`: `targetRps`, `latencyMs`, `waitRatio` (W/C), each may be undefined.
 * - `cpu`: one process, a thread for each core of ours (`cpu.effective`), and no more under way than that;
 * - `io`: one process. Under way: `targetRps` × `latencyMs` when they are known, else N(1 + W/C). Of 1 + W/C under way one
 *   computes: so many threads, at least one, and never more than cores are ours. One, where `waitRatio` is not known;
 * - `mixed`: under way as for `io`. Processes: as many as physical cores, but no more than cores of ours. Threads in each:
 *   what is left of ours, so that all together are no more than ours, and at least one.
 *
 * `whole` rounds up. `why` is yours.
 */
export function recommend(workload: Workload, cpu: Pick<Cpu, 'physical' | 'effective'>): Plan {
  checkWorkload(workload);
  const inFlight = whole(cpu.effective);
  return { processes: cpu.physical, threads: inFlight, inFlight, why: 'it is not written yet' };
}

/**
 * Processes with threads in them. A crash takes what runs in one process, and every task is settled once.
 *
 * Given: `this.options`, `this.queue` (a Set of jobs that wait), `this.children` (a Set of processes; `start()` adds one).
 * - A job: `id`, `body`, `resolve(value)`, `reject(reason)`; the second time has no effect.
 * - A child: `pid`, `state` (`'starting'`, `'ready'` or `'ending'`), `jobs` (a Map of its jobs by id), `post(message)`,
 *   `kill()`.
 */
export class Hybrid<M extends Entry> extends HybridBase<M> implements AsyncDisposable {
  constructor(options: HybridOptions) {
    super(options);
    this.fill();
  }

  /**
   * Something has changed: a task waits in `this.queue`, a process is ready or has gone, a task is done, we are closing.
   *
   * There are `options.processes` processes (`this.start()` starts one). What waits is given to `this.freest()`, as long as
   * there is one: the job goes out of the queue and into `child.jobs`, and is posted as `{ type: 'run', id, body }`.
   * Later: once we are closing, processes end (`retire`) when nothing waits and they have nothing to do.
   */
  protected override fill(): void {
    todo('fill');
  }

  /**
   * A process speaks: it is `ready` (its state too), it has `failed` to start (`breakDown(new TaskError(message.error))`), or the task of
   * `message.id` is `done`: then it is no longer among `child.jobs`, and `settle(job, message, child.pid)` tells who waits.
   */
  protected override hear(child: Child, message: FromProcess): void {
    if (message.type === 'done') for (const job of child.jobs.values()) settle(job, message, child.pid);
    todo('hear');
  }

  /** A process has gone, for whatever reason. Who tells those whose tasks it had, and who takes its place? */
  protected override exited(_child: Child, _exit: Exit): void {}

  /** What becomes of a task whose process has gone in the middle of it? */
  protected lost(_job: Job, _error: WorkerLostError): void {
    todo('lost');
  }

  /**
   * Who waits for the task gives it up, for `reason`: he is told at once. If the task waits, it never runs; if it runs in
   * `child`, then `child.post({ type: 'abort', id })` ends its thread, and `done` comes when that has gone.
   */
  protected override abandon(_job: Job, _reason: unknown): void {}

  /** No process can be had. Whoever waits fails with a BrokenHybridError that has the cause, and so does who comes later. */
  protected breakDown(_cause: HybridError): void {
    todo('breakDown');
  }

  /** @throws ClosedError once it is closing, BrokenHybridError after `breakDown`. Called before anything is taken. */
  protected override assertOpen(): void {}

  /** Given: lets a process end that has nothing to do. */
  protected retire(child: Child): void {
    if (child.state === 'ending') return;
    child.state = 'ending';
    child.post({ type: 'end' });
  }

  /**
   * Takes nothing more, finishes what it has taken, and resolves when every process has gone. After `options.drainMs`:
   * `giveUp`. May be called again.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    todo('asyncDispose');
  }

  /** The deadline: whatever waits or runs fails with a DrainTimeoutError, and the processes are killed. */
  protected giveUp(): void {
    todo('giveUp');
  }
}

export function hybrid<M extends Entry>(options: HybridOptions): Hybrid<M> {
  return new Hybrid<M>(options);
}

function todo(what: string): never {
  throw new Error(`${what} is not written yet: its comment in attempt/index.ts is the task.`);
}
