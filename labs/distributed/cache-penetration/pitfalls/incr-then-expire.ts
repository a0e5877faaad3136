// Flaw: INCR and PEXPIRE are two commands, so a process that dies in between leaves a count, and then a ban, for ever.
// Seen in: https://github.com/elizaOS/eliza/pull/11085
// Caught by: a client that dies between two commands leaves no count without an end
import { MissGuard as Reference, type Verdict } from '../src/index.ts';

export * from '../src/index.ts';

export class MissGuard extends Reference {
  override async recordMiss(client: string): Promise<Verdict> {
    const key = this.key(client);
    const misses = await this.redis.incr(key);
    if (misses === 1) await this.redis.pexpire(key, this.windowMs);
    if (misses === this.limit) await this.redis.pexpire(key, this.banMs);
    return this.verdict([misses, this.banMs]);
  }
}
