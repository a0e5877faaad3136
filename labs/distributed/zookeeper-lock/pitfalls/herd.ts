// Flaw: all who wait watch the whole queue: each release wakes all of them, and each of them lists the queue.
// Seen in: https://github.com/guevara/read-it-later/issues/2081
// Caught by: a release wakes one of those who wait

import { type Contender, Locks as Reference } from '../src/index.ts';
import { unlessAborted } from '../src/options.ts';

export * from '../src/index.ts';

export class Locks extends Reference {
  protected override async pass(path: string, blocker: Contender, over: AbortSignal): Promise<void> {
    const changed = Promise.withResolvers<void>();
    const names = await this.session.children(path, changed.resolve);
    if (names.includes(blocker.name)) await unlessAborted(changed.promise, over);
  }
}
