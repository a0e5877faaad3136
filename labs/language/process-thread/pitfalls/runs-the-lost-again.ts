// Flaw: what a killed process was doing is run again, though its first run may have had its effect.
// Seen in: https://github.com/celery/celery/issues/4426
// Caught by: a process that is killed loses its own tasks alone: each is told, and none runs twice
import type { Job } from '../src/hybrid-base.ts';
import { type Entry, Hybrid, type HybridOptions } from '../src/index.ts';

export * from '../src/index.ts';

class Flawed<M extends Entry> extends Hybrid<M> {
  protected override lost(job: Job): void {
    this.queue.add(job);
  }
}

export const hybrid = <M extends Entry>(options: HybridOptions) => new Flawed<M>(options);
