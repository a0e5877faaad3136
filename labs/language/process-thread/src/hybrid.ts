import type { Exit, HybridError } from './errors.ts';
import { BrokenHybridError, ClosedError, DrainTimeoutError, TaskError, WorkerLostError } from './errors.ts';
import { type Child, type Entry, HybridBase, type HybridOptions, type Job, settle } from './hybrid-base.ts';
import type { FromProcess } from './protocol.ts';

/**
 * Processes with threads in them. A crash takes what runs in one process, and every task is settled once: done, failed, or
 * lost. What was lost is not run again. It keeps the program alive until it is disposed of.
 */
export class Hybrid<M extends Entry> extends HybridBase<M> implements AsyncDisposable {
  /** Processes in a row that have died before they were ready. After three there will be no other. */
  #stillborn = 0;
  #broken: BrokenHybridError | undefined;
  #closed: PromiseWithResolvers<void> | undefined;

  constructor(options: HybridOptions) {
    super(options);
    this.fill();
  }

  protected override fill(): void {
    const wanted = !this.#broken && (!this.#closed || this.queue.size > 0);
    for (let missing = this.options.processes - this.children.size; wanted && missing > 0; missing--) this.start();
    for (const job of this.queue) {
      const child = this.freest();
      if (!child) break;
      this.queue.delete(job);
      child.jobs.set(job.id, job);
      child.post({ type: 'run', id: job.id, body: job.body });
    }
    if (!this.#closed || this.queue.size > 0) return;
    for (const child of this.children) if (child.jobs.size === 0) this.retire(child);
    if (this.children.size === 0) this.#closed.resolve();
  }

  protected override hear(child: Child, message: FromProcess): void {
    if (message.type === 'failed') {
      if (child.state === 'starting') this.breakDown(new TaskError(message.error));
      child.kill();
    } else if (message.type === 'ready') {
      this.#stillborn = 0;
      if (child.state === 'starting') child.state = 'ready';
    } else {
      const job = child.jobs.get(message.id);
      child.jobs.delete(message.id);
      if (job) settle(job, message, child.pid);
    }
    this.fill();
  }

  /** The last that is heard of a process. Nobody else will answer for what it was given. */
  protected override exited(child: Child, exit: Exit): void {
    if (!this.children.delete(child)) return;
    const error = new WorkerLostError('The process', child.pid, exit);
    for (const job of child.jobs.values()) this.lost(job, error);
    if (child.state === 'starting' && ++this.#stillborn >= 3) this.breakDown(error);
    this.fill();
  }

  protected lost(job: Job, error: WorkerLostError): void {
    job.reject(error);
  }

  /** Who gives a task up is answered at once. Its place is free when its thread has gone: until then it runs. */
  protected override abandon(job: Job, reason: unknown): void {
    job.reject(reason);
    if (this.queue.delete(job)) this.fill();
    for (const child of this.children) if (child.jobs.has(job.id)) child.post({ type: 'abort', id: job.id });
  }

  protected breakDown(cause: HybridError): void {
    this.#broken ??= new BrokenHybridError(`No process can be started: ${cause.message}`, { cause });
    for (const job of this.queue) job.reject(this.#broken);
    this.queue.clear();
    for (const child of this.children) if (child.state === 'starting') child.kill();
  }

  protected override assertOpen(): void {
    if (this.#closed) throw new ClosedError('It is closed, and takes nothing more.');
    if (this.#broken) throw this.#broken;
  }

  protected retire(child: Child): void {
    if (child.state !== 'ending') child.post({ type: 'end' });
    child.state = 'ending';
  }

  /**
   * Takes nothing more, finishes what it has taken, and resolves when every process has gone. What is not done after
   * `drainMs` is ended where it stands, and rejects with DrainTimeoutError. May be called again.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= Promise.withResolvers();
    const deadline = setTimeout(() => this.giveUp(), this.options.drainMs);
    this.fill();
    await this.#closed.promise;
    clearTimeout(deadline);
  }

  protected giveUp(): void {
    const error = new DrainTimeoutError(`The task was not done ${this.options.drainMs} ms after the closing.`);
    const left = [...this.queue, ...[...this.children].flatMap(({ jobs }) => [...jobs.values()])];
    for (const job of left) job.reject(error);
    this.queue.clear();
    for (const child of this.children) child.kill();
    this.fill();
  }
}

/** @example await using shop = hybrid<typeof import('./burger.ts')>({ processes: 2, threadsPerProcess: 2, entry }); */
export function hybrid<M extends Entry>(options: HybridOptions): Hybrid<M> {
  return new Hybrid<M>(options);
}
