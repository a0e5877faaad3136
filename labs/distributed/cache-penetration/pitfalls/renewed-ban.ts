// Flaw: what a banned client still asks sets the ban's time anew, so a program that retries is never let in again.
// Seen in: https://github.com/animir/node-rate-limiter-flexible/issues/210
// Caught by: a ban ends in its own time, whatever the banned client does meanwhile
import { MissGuard as Reference, type Verdict } from '../src/index.ts';

export * from '../src/index.ts';

export class MissGuard extends Reference {
  override async recordMiss(client: string): Promise<Verdict> {
    const verdict = await super.recordMiss(client);
    if (!verdict.allowed) await this.redis.pexpire(this.key(client), this.banMs);
    return verdict;
  }
}
