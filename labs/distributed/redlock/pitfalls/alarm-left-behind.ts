// Flaw: the alarm moves when an extension has succeeded, not when it may have shortened the lease.
// Seen in: https://github.com/mike-marcacci/node-redlock/issues/253 (the signal knows of failed extensions, not of the end)
// Caught by: the signal aborts before the lease ends, wherever an extension has moved the end
import { Redlock as Reference } from '../src/index.ts';
import { GrantedLease, type Keeper } from '../src/lease.ts';
import type { Plan } from '../src/options.ts';

export * from '../src/index.ts';

class QuietLease extends GrantedLease {
  protected override moveEnd(until: number, ttlMs: number): void {
    if (until < this.until) this.until = until;
    else super.moveEnd(until, ttlMs);
  }
}

export class Redlock extends Reference {
  protected override grant(keeper: Keeper, { resources, ttlMs }: Plan, token: string, validUntil: number) {
    return new QuietLease(keeper, resources, token, ttlMs, validUntil);
  }
}
