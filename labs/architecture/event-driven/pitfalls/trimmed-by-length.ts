// Flaw: the stream is trimmed by length, whatever is in hand: after a crash the entry is pending and empty.
// Seen in: https://github.com/redis/redis/issues/6199
// Caught by: streams: trimming drops what is done, and nothing that is in hand
import type { Redis } from 'ioredis';
import { type Cemetery, StreamsBus as Reference, type StreamsOptions } from '../src/index.ts';

export * from '../src/index.ts';

export class StreamsBus extends Reference {
  readonly #client: Redis;

  constructor(redis: Redis, dead: Cemetery, options?: StreamsOptions) {
    super(redis, dead, options);
    this.#client = redis;
  }

  override trim(): Promise<number> {
    return this.#client.xtrim(`${this.prefix}stream`, 'MAXLEN', 1);
  }
}
