// Flaw: who gives a task up is answered and its place is taken for free, while its thread goes on.
// Seen in: https://github.com/josdejong/workerpool/issues/418
// Caught by: who gives a task up gets his own reason at once, and its place is free when its thread has gone
import type { Job } from '../src/hybrid-base.ts';
import { type Entry, Hybrid, type HybridOptions } from '../src/index.ts';

export * from '../src/index.ts';

class Flawed<M extends Entry> extends Hybrid<M> {
  protected override abandon(job: Job, reason: unknown): void {
    job.reject(reason);
    this.queue.delete(job);
    for (const child of this.children) child.jobs.delete(job.id);
    this.fill();
  }
}

export const hybrid = <M extends Entry>(options: HybridOptions) => new Flawed<M>(options);
