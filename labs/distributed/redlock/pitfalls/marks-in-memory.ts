// Flaw: the newest token is kept in the process, so another process, or this one after a restart, takes an older one.
// Seen in: https://github.com/oxia-db/oxia/pull/87
// Caught by: a stale holder writes nothing
import type { PoolClient } from 'pg';
import { Fencing as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Fencing extends Reference {
  readonly #newest = new Map<string, bigint>();

  protected override async admit(_tx: PoolClient, resource: string, fence: bigint): Promise<boolean> {
    if (fence < (this.#newest.get(resource) ?? 0n)) return false;
    this.#newest.set(resource, fence);
    return true;
  }
}
