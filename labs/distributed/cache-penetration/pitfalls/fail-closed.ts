// Flaw: with Redis down the guard throws, so an outage of the cache is an outage of the shop.
// Seen in: https://github.com/wundergraph/cosmo/pull/1659
// Caught by: with Redis down or hung everybody is served from the database
import { MissGuard as Reference, type Verdict } from '../src/index.ts';

export * from '../src/index.ts';

export class MissGuard extends Reference {
  override async allow(client: string): Promise<Verdict> {
    const ttl = await this.redis.pttl(this.key(client));
    const { misses } = await super.allow(client);
    return this.verdict([misses, ttl]);
  }
}
