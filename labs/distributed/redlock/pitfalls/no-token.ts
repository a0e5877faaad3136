// Flaw: DEL without checking the token, so an expired holder deletes its successor's lock.
// Seen in: https://github.com/laravel/framework/issues/26213
// Caught by: a holder whose lock expired cannot release the next holder's lock
import type { Redis } from 'ioredis';
import { Redlock as Reference } from '../src/index.ts';
import { unlockNode } from '../src/nodes.ts';

export * from '../src/index.ts';

export class Redlock extends Reference {
  protected override async unlock(node: Redis, resources: readonly string[]): Promise<boolean> {
    return (await node.del(...resources)) === resources.length;
  }

  // Not part of the flaw: an attempt that failed has no key of its own to delete.
  protected override cleanUp(resources: readonly string[], token: string): void {
    for (const node of this.nodes) unlockNode(node, resources, token).catch(() => {});
  }
}
