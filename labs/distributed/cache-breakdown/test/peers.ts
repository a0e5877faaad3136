// What products use, with a memory in front of Redis each, as their manuals set them up.
import KeyvRedis from '@keyv/redis';
import { BentoCache, bentostore } from 'bentocache';
import { memoryDriver } from 'bentocache/drivers/memory';
import { redisDriver } from 'bentocache/drivers/redis';
import { Cacheable } from 'cacheable';
import type { Redis } from 'ioredis';

export function bentocacheOn(redis: Redis, prefix: string, ttlMs: number) {
  const store = bentostore()
    .useL1Layer(memoryDriver({ maxItems: 1_000 }))
    .useL2Layer(redisDriver({ connection: redis }));
  return new BentoCache({ default: 'shop', stores: { shop: store }, prefix, ttl: ttlMs });
}

export function cacheableOn(url: string, namespace: string, ttlMs: number): Cacheable {
  return new Cacheable({ secondary: new KeyvRedis(url, { namespace }), ttl: ttlMs });
}
