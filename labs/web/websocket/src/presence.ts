import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import type { Redis } from 'ioredis';
import { refuseBadName } from './channel-layer.ts';
import { ClosedError, InvalidArgumentError, refuseBadNumbers, reportTo, UnavailableError } from './errors.ts';
import { AT_ONCE, connectTo } from './group-streams.ts';

export interface PresenceOptions {
  readonly url: string;
  /** What all keys begin with. Default `channels:`. */
  readonly prefix?: string;
  /** Milliseconds after which someone is gone whose process says nothing any more. Default 30,000. */
  readonly ttlMs?: number;
  /** Told when an entry could not be renewed. It is tried again. */
  readonly onError: (error: unknown) => void;
}

/** One who is there once: with two tabs somebody has two. */
export interface PresenceEntry {
  readonly group: string;
  readonly who: string;
  readonly id: string;
}

/** By Redis's clock, not by those of the processes, which differ. */
const NOW = `local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000)`;
const RENEW = `${NOW}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i]) end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end`;
const READ = `${NOW}
local found = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 2, #found, 2 do found[i] = tostring(found[i] - now) end
return found`;

/**
 * Who is there, in all processes. Whoever is there says so again and again; whoever doesn't is gone, whether the process
 * has said goodbye or was killed.
 */
export class Presence {
  protected readonly entries = new Set<PresenceEntry>();
  protected readonly ttlMs: number;
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #onError: (error: unknown) => void;
  readonly #timer: NodeJS.Timeout;
  #closed = false;

  constructor({ url, prefix = 'channels:', ttlMs = 30_000, onError }: PresenceOptions) {
    refuseBadNumbers({ ttlMs });
    this.#prefix = prefix;
    this.ttlMs = ttlMs;
    this.#onError = onError;
    this.#redis = connectTo(url, AT_ONCE);
    this.#timer = setInterval(() => void this.#beatAndTell(), ttlMs / 3);
    this.#timer.unref();
  }

  /** `who` is in `group` until the entry is taken back by `leave`, or this process dies. @throws UnavailableError */
  async enter(group: string, who: string): Promise<PresenceEntry> {
    refuseBadName(group);
    if (typeof who !== 'string' || !who.isWellFormed()) {
      throw new InvalidArgumentError(`who is ${inspect(who)}: give a text without half a surrogate pair.`);
    }
    const entry = { group, who, id: randomUUID() };
    await this.renew(group, [entry]);
    this.entries.add(entry);
    return entry;
  }

  /** Without an answer from Redis the entry ends by itself. @throws UnavailableError */
  async leave(entry: PresenceEntry): Promise<void> {
    if (this.entries.delete(entry)) await this.remove(entry);
  }

  /** Each once, in alphabetical order. @throws UnavailableError, ClosedError */
  async list(group: string): Promise<string[]> {
    refuseBadName(group);
    const there = (await this.read(group)).filter(({ leftMs }) => leftMs > 0);
    return [...new Set(there.map(({ who }) => who))].sort();
  }

  /** All that entered here have left. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.allSettled([...this.entries].map((entry) => this.leave(entry)));
    this.#closed = true;
    this.#redis.disconnect();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Three times in `ttlMs`. */
  protected async beat(): Promise<void> {
    const groups = Map.groupBy(this.entries, ({ group }) => group);
    await Promise.all(Array.from(groups, ([group, entries]) => this.renew(group, entries)));
  }

  /** These are there for `ttlMs` from now on; those of the group whose time is up are forgotten. @throws UnavailableError */
  protected async renew(group: string, entries: readonly PresenceEntry[]): Promise<void> {
    await this.#ask(() => this.#redis.eval(RENEW, 1, this.#keyOf(group), this.ttlMs, ...entries.map(textOf)));
  }

  protected async remove(entry: PresenceEntry): Promise<void> {
    await this.#ask(() => this.#redis.zrem(this.#keyOf(entry.group), textOf(entry)));
  }

  /** The entries of all processes, and how long each of them holds if nobody renews it; 0 or less: it is over. */
  protected async read(group: string): Promise<{ who: string; leftMs: number }[]> {
    const found = await this.#ask(() => this.#redis.eval(READ, 1, this.#keyOf(group)));
    const texts = Array.isArray(found) ? found.map(String) : [];
    return texts.flatMap((text, n) => (n % 2 ? [] : [{ who: text.slice(ID_LENGTH), leftMs: Number(texts[n + 1]) }]));
  }

  async #beatAndTell(): Promise<void> {
    try {
      await this.beat();
    } catch (error) {
      if (!this.#closed) void reportTo(this.#onError, 'Who is there could not be said.', error);
    }
  }

  #keyOf(group: string): string {
    return `${this.#prefix}presence:${group}`;
  }

  async #ask<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new ClosedError('Presence');
    try {
      return await work();
    } catch (error) {
      throw new UnavailableError('who is there', { cause: error });
    }
  }
}

const textOf = ({ id, who }: PresenceEntry): string => id + who;
const ID_LENGTH = randomUUID().length;
