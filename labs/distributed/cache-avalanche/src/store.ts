import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import type { Redis } from 'ioredis';
import { UnstorableValueError } from './errors.ts';
import { Script } from './redis.ts';

/** A value as Redis has it. */
export interface Entry<T> {
  readonly value: T | null;
  readonly ageMs: number;
}

// Each store is a new generation, each invalidation a new fence. Who read an older one before it loaded may have loaded
// an older value: it is refused. No generation is an entry that has expired. A fence outlasts loads: the entry may not.
const COMMIT = new Script(`
local current = redis.call('HGET', KEYS[1], 'generation')
if current and current ~= ARGV[1] then return 0 end
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[5] then return 0 end
redis.call('HSET', KEYS[1], 'generation', ARGV[2], 'value', ARGV[3])
if ARGV[4] == '0' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
return 1`);

const DROP = new Script(`
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])`);

/** While ioredis is in one of these a command would wait for the next attempt to connect. */
const BROKEN: readonly string[] = ['reconnecting', 'close', 'end'];

/** Values in one Redis, a hash for each key, with a generation that keeps what was loaded before an invalidation out. */
export class Store {
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #tombstoneMs: number;
  readonly #undecodable: (key: string, error: unknown) => void;

  /** @param tombstoneMs how long an invalidation is remembered: longer than any load takes. */
  constructor(
    redis: Redis,
    prefix: string,
    tombstoneMs: number,
    undecodable: (key: string, error: unknown) => void = () => {},
  ) {
    this.#redis = redis;
    this.#prefix = prefix;
    this.#tombstoneMs = tombstoneMs;
    this.#undecodable = undecodable;
  }

  /** The value, or undefined. @throws when Redis doesn't answer; at once while the connection is known to be broken. */
  async read<T>(key: string): Promise<Entry<T> | undefined> {
    if (BROKEN.includes(this.#redis.status)) throw new Error(`no Redis: its connection is "${this.#redis.status}"`);
    const text = await this.#redis.hget(this.#prefix + key, 'value');
    if (text === null) return undefined;
    try {
      return unpack<T>(text);
    } catch (error) {
      this.#undecodable(key, error);
      return undefined;
    }
  }

  /** The fence and the generation of the entry, '' where there is none. Ask for it before you load. */
  async generation(key: string): Promise<string> {
    const [entry, fence] = this.#keys(key);
    const found = await Promise.all([this.#redis.get(fence), this.#redis.hget(entry, 'generation')]);
    return found.map((each) => each ?? '').join(' ');
  }

  /** Stores `text`, which `pack` made, unless the entry is of another generation by now. `ttlMs` 0: for ever. */
  async commit(key: string, generation: string, text: string, ttlMs: number): Promise<boolean> {
    const [fence = '', current = ''] = generation.split(' ');
    return Number(await COMMIT.run(this.#redis, this.#keys(key), current, randomUUID(), text, ttlMs, fence)) === 1;
  }

  /** Deletes the value and keeps the news of it, so that a load that runs now isn't stored. */
  async drop(key: string): Promise<void> {
    await DROP.run(this.#redis, this.#keys(key), randomUUID(), this.#tombstoneMs);
  }

  /** No key of a caller begins as a fence does: each store's prefix ends with a word of its own. */
  #keys(key: string): [entry: string, fence: string] {
    return [this.#prefix + key, `${this.#prefix.slice(0, -1)}-fence:${key}`];
  }
}

/** The value lies inside, so none can be taken for a missing one: not null, not "", not this text itself. */
export function pack(key: string, value: unknown, bornAt: number): string {
  try {
    const json = JSON.stringify(value);
    // NaN and the infinities are "null" in JSON, and would come back as what doesn't exist.
    if (json === undefined || (json === 'null' && value !== null))
      throw new Error(`JSON has no text for ${inspect(value)}`);
    return `1:${Math.floor(bornAt)}:${json}`;
  } catch (cause) {
    throw new UnstorableValueError(`${key}: give the cache something that JSON can hold.`, { cause });
  }
}

/** @throws when the text is none of ours: another version wrote it, or another program. */
export function unpack<T>(text: string): { value: T | null; ageMs: number } {
  const json = text.indexOf(':', 2) + 1;
  const bornAt = Number(text.slice(2, json - 1));
  if (!text.startsWith('1:') || json === 0 || !Number.isInteger(bornAt)) throw new Error('no entry of this version');
  return { value: JSON.parse(text.slice(json)), ageMs: Math.max(0, Date.now() - bornAt) };
}
