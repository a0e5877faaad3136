// Flaw: two extensions at once, so the answer to the first makes good again what the second has shortened.
// Seen in: https://github.com/hazelcast/hazelcast/pull/3743 (a lease's extension races with its expiry)
// Caught by: of two extensions that overlap the one asked last decides how long the holder believes
import { Redlock as Reference } from '../src/index.ts';
import { GrantedLease, type Keeper } from '../src/lease.ts';
import type { Plan } from '../src/options.ts';

export * from '../src/index.ts';

class HastyLease extends GrantedLease {
  protected override inTurn(extension: () => Promise<void>): Promise<void> {
    return extension();
  }
}

export class Redlock extends Reference {
  protected override grant(keeper: Keeper, { resources, ttlMs }: Plan, token: string, validUntil: number) {
    return new HastyLease(keeper, resources, token, ttlMs, validUntil);
  }
}
