// Flaw: a process is ended when its task is done, and the next task pays for the start of another.
// Seen in: https://github.com/metarhia/impress/issues/423
// Caught by: a hybrid runs as many tasks at once as it has threads in all its processes, and no more
import { type Entry, Hybrid, type HybridOptions } from '../src/index.ts';

export * from '../src/index.ts';

class Flawed<M extends Entry> extends Hybrid<M> {
  protected override hear(...[child, message]: Parameters<Hybrid<M>['hear']>): void {
    super.hear(child, message);
    if (message.type === 'done' && child.jobs.size === 0) this.retire(child);
  }
}

export const hybrid = <M extends Entry>(options: HybridOptions) => new Flawed<M>(options);
