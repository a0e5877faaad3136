// Flaw: the token is compared in the client, so the lock can change hands between GET and DEL.
// Seen in: https://github.com/spring-projects/spring-integration/issues/8699
// Caught by: nobody can take the lock between the check and the deletion of a release
import type { Redis } from 'ioredis';
import { Redlock as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Redlock extends Reference {
  protected override async unlock(node: Redis, resources: readonly string[], token: string): Promise<boolean> {
    const tokens = await node.mget(...resources);
    if (tokens.some((found) => found !== token)) return false;
    return (await node.del(...resources)) === resources.length;
  }
}
