import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { Script } from './redis.ts';

const CLAIM = new Script(`
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`);

const RELEASE = new Script(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`);

/** A right that one process has at a time, and that ends by itself when its holder dies. */
export class Lease {
  protected readonly redis: Redis;
  protected readonly key: string;
  protected readonly token: string = randomUUID();
  readonly #ms: number;

  constructor(redis: Redis, key: string, ms: number) {
    this.redis = redis;
    this.key = key;
    this.#ms = ms;
  }

  /** Takes the lease, or has it last for another `ms` if it is ours; false when it is somebody else's. */
  async claim(): Promise<boolean> {
    return Number(await CLAIM.run(this.redis, [this.key], this.token, this.#ms)) === 1;
  }

  /** Frees the lease, if it is still ours: it may have run out, and be our successor's. */
  async release(): Promise<void> {
    await RELEASE.run(this.redis, [this.key], this.token);
  }
}
