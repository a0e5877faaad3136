// Flaw: ASKING is awaited before its command is sent; on a shared connection another command takes the permission.
// Seen in: https://github.com/redis/redis/issues/3203
// Caught by: of a hundred commands at once that are sent on, each has its own ASKING
import type { Redis } from 'ioredis';
import { ClusterRouter as Reference } from '../src/index.ts';
import type { Request } from '../src/request.ts';

export * from '../src/index.ts';

export class ClusterRouter extends Reference {
  protected override async exchange(node: Redis, request: Request, asking: boolean): Promise<unknown> {
    if (asking) await node.asking();
    return super.exchange(node, request, false);
  }
}
