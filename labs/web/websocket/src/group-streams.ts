import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { ClosedError, UnavailableError } from './errors.ts';
import { BEGINNING, Message } from './message.ts';

/** Milliseconds that a read waits for something new. */
const BLOCK_MS = 1000;
/** For what is answered at once. A connection that has died without a word is given up too, and not only its command. */
export const AT_ONCE = { commandTimeout: 2000, socketTimeout: 2000 };
/** Messages of one group that are read at once. */
const PAGE = 32;

class Connection extends Redis {
  override sendCommand(...[command, stream]: Parameters<Redis['sendCommand']>): unknown {
    // A Redis that is busy with a script refuses this one too, and what follows would go to database 0.
    if (command.name === 'select') command.promise.catch(() => this.stream.destroy());
    return super.sendCommand(command, stream);
  }
}

/**
 * A connection whose commands are sent once, or fail at once: one that is sent again when its answer was lost would be
 * carried out twice. It comes back by itself, for the next command.
 */
export function connectTo(url: string, limits: { commandTimeout?: number; socketTimeout?: number }): Redis {
  const redis = new Connection(url, {
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // While a server loads its data it would keep every command, timed out or not, and send it then.
    enableReadyCheck: false,
    retryStrategy: (attempt) => Math.min(20 * 2 ** attempt, 500),
    // A failover behind a name: the connection leads to what is a replica now. Older ones say so inside of a script's error.
    reconnectOnError: (error) => error.message.includes('READONLY'),
    ...limits,
  });
  // It is told to whoever has asked for something.
  redis.on('error', () => {});
  return redis;
}

/** The entry before the new one is named in it: one command, so that no other process comes between. */
const APPEND = `
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local prev = last and last[1] or '${BEGINNING}'
local id = redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[1], '*', 'prev', prev, 'body', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return id`;

type Entry = [id: string, fields: string[]];

export interface GroupStreamsOptions {
  readonly url: string;
  readonly prefix: string;
  /** Messages that a group keeps. */
  readonly keep: number;
  /** Milliseconds that a group is kept after its last message. */
  readonly keepMs: number;
}

/**
 * The groups as Redis has them: one stream each, and two connections for all of them. One asks, the other one waits, since a
 * connection that waits in XREAD answers nothing else.
 */
export class GroupStreams {
  readonly #asks: Redis;
  readonly #waits: Redis;
  readonly #options: GroupStreamsOptions;
  /** A stream of this process's own, read along with the others: an entry in it ends the wait. */
  readonly #wakeKey: string;
  #woken = BEGINNING;
  #closed = false;

  constructor(options: GroupStreamsOptions) {
    this.#options = options;
    this.#wakeKey = `${options.prefix}wake:${randomUUID()}`;
    this.#asks = connectTo(options.url, AT_ONCE);
    this.#waits = connectTo(options.url, { socketTimeout: BLOCK_MS + 2000 });
  }

  /** @returns the id that the message has got @throws UnavailableError, ClosedError */
  append(group: string, json: string): Promise<string> {
    const { keep, keepMs } = this.#options;
    return this.#ask(`a message to ${group}`, async () =>
      String(await this.#asks.eval(APPEND, 1, this.#keyOf(group), keep, json, keepMs)),
    );
  }

  /** The id of the newest message that there is. @throws UnavailableError, ClosedError */
  last(group: string): Promise<string> {
    return this.#ask(`what ${group} has`, async () => {
      const [newest] = await this.#asks.xrevrange(this.#keyOf(group), '+', '-', 'COUNT', 1);
      return newest?.[0] ?? BEGINNING;
    });
  }

  /** The oldest messages that came after `after`, a page of them, and what is the newest. @throws UnavailableError, ClosedError */
  history(group: string, after: string): Promise<{ messages: Message[]; last: string }> {
    return this.#ask(`what came after ${after} in ${group}`, async () => {
      const key = this.#keyOf(group);
      // In this order: a message that is added between the two is in the page.
      const [[newest], messages] = await Promise.all([
        this.#asks.xrevrange(key, '+', '-', 'COUNT', 1),
        this.#asks.xrange(key, `(${after}`, '+', 'COUNT', PAGE),
      ]);
      return { messages: messages.map((entry) => toMessage(group, entry)), last: newest?.[0] ?? BEGINNING };
    });
  }

  /** What comes after these ids, as soon as there is something; nothing after a second or a `wake`. @throws whatever happened */
  async next(after: ReadonlyMap<string, string>): Promise<Message[]> {
    const groups = [...after.keys()];
    const keys = [this.#wakeKey, ...groups.map((group) => this.#keyOf(group))];
    const found = await this.#waits.xread(
      'COUNT',
      PAGE,
      'BLOCK',
      BLOCK_MS,
      'STREAMS',
      ...keys,
      this.#woken,
      ...after.values(),
    );
    return (found ?? []).flatMap(([key, entries]) => {
      if (key === this.#wakeKey) this.#woken = entries.at(-1)?.[0] ?? this.#woken;
      const group = groups[keys.indexOf(key) - 1];
      return group === undefined ? [] : entries.map((entry) => toMessage(group, entry));
    });
  }

  /** Ends the wait of `next`, or of the one that begins now. @throws UnavailableError, ClosedError */
  async wake(): Promise<void> {
    await this.#ask('a call', () =>
      this.#asks
        .multi()
        .xadd(this.#wakeKey, 'MAXLEN', 1, '*', 'wake', '')
        .pexpire(this.#wakeKey, 10 * BLOCK_MS)
        .exec(),
    );
  }

  close(): void {
    this.#closed = true;
    this.#waits.disconnect();
    this.#asks.disconnect();
  }

  #keyOf(group: string): string {
    return `${this.#options.prefix}group:${group}`;
  }

  async #ask<T>(what: string, work: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new ClosedError('The channel layer');
    try {
      return await work();
    } catch (error) {
      throw this.#closed ? new ClosedError('The channel layer') : new UnavailableError(what, { cause: error });
    }
  }
}

const toMessage = (group: string, [id, [, prev = BEGINNING, , json = 'null']]: Entry): Message =>
  new Message(group, id, prev, json);
