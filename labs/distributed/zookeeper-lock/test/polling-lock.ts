import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';

/** The lock of most products, to compare with: one Redis, a token, and a look every 10 to 30 ms. */
export class PollingLock {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  async lock(key: string): Promise<{ release(): Promise<unknown> }> {
    const token = randomUUID();
    while ((await this.#redis.set(key, token, 'PX', 10_000, 'NX')) !== 'OK') await delay(10 + Math.random() * 20);
    const release = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";
    return { release: () => this.#redis.eval(release, 1, key, token) };
  }
}
