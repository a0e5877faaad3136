import { randomUUID } from 'node:crypto';
import type { Redis, RedisOptions } from 'ioredis';
import {
  assertCount,
  type Bus,
  type Cemetery,
  completeOptions,
  type Delivery,
  type SubscribeOptions,
  type Subscription,
} from './bus.ts';
import { Dispatcher, inform, pause, within } from './dispatcher.ts';
import { BusClosedError, ConnectionLostError, InvalidArgumentError, UnroutableError } from './errors.ts';
import type { Envelope, Reader } from './event.ts';
import { type Parsed, parseEvent } from './parse.ts';

export interface StreamsOptions {
  /** Of every key that it keeps. Default "events:". */
  readonly prefix?: string;
  /** Milliseconds after which a silent consumer's work goes to another of its group. Default 5000. */
  readonly leaseMs?: number;
  /** Milliseconds that Redis may take for its answer to who publishes, subscribes or trims. Default 10,000. */
  readonly answerMs?: number;
  /** Hears of each failure of a group to have its lease or to read; it begins anew. Default: nobody does. */
  readonly onError?: (error: unknown) => void;
}

const KEEP = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
-- Redis without memory refuses a script's first write if it is a SET, and no later one: who is to empty it has to begin.
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`;
// By a script: a client may have been told to make objects of what XINFO answers.
const GROUPS = "return redis.call('EXISTS', KEYS[1]) == 1 and redis.call('XINFO', 'GROUPS', KEYS[1]) or {}";
// One that is there needs no memory.
const CREATE = `
local groups = redis.call('EXISTS', KEYS[1]) == 1 and redis.call('XINFO', 'GROUPS', KEYS[1]) or {}
for _, group in ipairs(groups) do if group[2] == ARGV[1] then return 0 end end
redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
return 1`;
// The lease is looked at in the step that takes: who slept through its end wakes up and takes nothing.
const TAKE = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.error_reply('LOST another consumer has the lease') end
if ARGV[3] == '>' then return redis.call('XREADGROUP', 'GROUP', ARGV[2], ARGV[1], 'COUNT', 100, 'STREAMS', KEYS[2], '>') end
return redis.call('XAUTOCLAIM', KEYS[2], ARGV[2], ARGV[1], 0, ARGV[3], 'COUNT', 100)`;
// A consumer's name stays in its group for ever, and each start brings another. With one that has something in hand, Redis
// would forget that too.
const TIDY = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return end
for _, one in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[2], ARGV[2])) do
  if one[2] ~= ARGV[1] and one[4] == 0 then redis.call('XGROUP', 'DELCONSUMER', KEYS[2], ARGV[2], one[2]) end
end`;
const LEAVE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

type Entry = readonly [id: string, fields: readonly string[]];

/**
 * Redis Streams: one stream, a consumer group for each service. A consumer's unacknowledged events are taken over by
 * the next one, and by itself after a broken connection, before any new event: the reply that brought them may be lost.
 * A new group begins with the oldest event that is still in the stream. A group, or the whole stream, that Redis has
 * lost is made anew. Redis has to run with `appendonly yes`, or its crash loses what it confirmed, and with
 * `noeviction`, or it does so itself when its memory is full.
 */
export class StreamsBus implements Bus {
  readonly #redis: Redis;
  readonly #dead: Cemetery;
  protected readonly prefix: string;
  readonly #leaseMs: number;
  readonly #answerMs: number;
  readonly #onError: (error: unknown) => void;
  readonly #subscriptions = new Set<Subscription>();
  #closed = false;

  /**
   * @param redis for publishing and acknowledging; each subscription opens a connection like it. It remains yours to close.
   *   Give it a `socketTimeout`, or a connection that died without a word is noticed only after many minutes, and until then
   *   nothing is published or acknowledged. Where a failover may make a replica of its server, give it a `reconnectOnError`
   *   for READONLY. ioredis has none of its own.
   */
  constructor(redis: Redis, dead: Cemetery, options: StreamsOptions = {}) {
    const { prefix = 'events:', leaseMs = 5000, answerMs = 10_000, onError = () => {} } = options;
    assertCount('leaseMs', leaseMs);
    if (leaseMs < 50) throw new InvalidArgumentError(`leaseMs is ${leaseMs}: give at least 50`);
    assertCount('answerMs', answerMs);
    this.#redis = redis;
    this.#dead = dead;
    this.prefix = prefix;
    this.#leaseMs = leaseMs;
    this.#answerMs = answerMs;
    this.#onError = onError;
  }

  async publish(events: readonly Envelope[], only = ''): Promise<void> {
    if (this.#closed) throw new BusClosedError('the bus is closed: open another');
    // Nobody would read it, and the next trimming would drop it.
    if (
      only !== '' &&
      !(await within(this.#answerMs, this.#groups())).some((fields) => field(fields, 'name') === only)
    ) {
      throw new UnroutableError(`there is no group ${only}: subscribe it first`);
    }
    // All or none: what Redis takes a moment after it has refused the one before would overtake that one.
    const batch = this.#redis.multi();
    for (const event of events) {
      batch.xadd(`${this.prefix}stream`, '*', 'event', JSON.stringify(event), 'only', only);
    }
    const replies = await within(this.#answerMs, batch.exec());
    // A WATCH on this connection, of whoever shares it: Redis has kept nothing, and says no error.
    if (replies === null) throw new ConnectionLostError('a WATCH on its connection undid the batch: publish it again');
    for (const [error] of replies) if (error !== null) throw error;
  }

  async subscribe(group: string, reader: Reader, options: SubscribeOptions = {}): Promise<Subscription> {
    const settings = completeOptions(group, options);
    if (this.#closed) throw new BusClosedError('the bus is closed: open another');
    await within(this.#answerMs, this.#createGroup(this.#redis, group));
    // It may have been closed meanwhile.
    if (this.#closed) throw new BusClosedError('the bus is closed: open another');
    const stopping = new AbortController();
    const connection: Redis = this.#redis.duplicate<RedisOptions>({ ...this.#reading() });
    connection.on('error', () => {});
    const serving = this.#serve(
      connection,
      group,
      stopping.signal,
      () => this.dispatcher(group, reader, settings),
      reader,
    );
    const subscription = {
      stop: async () => {
        stopping.abort();
        // The lease lives on this connection until the last try has ended; a dead one ends by its `socketTimeout`.
        await serving;
        connection.disconnect();
        // Until now `close` waits for it too.
        this.#subscriptions.delete(subscription);
      },
    };
    this.#subscriptions.add(subscription);
    return subscription;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#subscriptions].map((each) => each.stop()));
  }

  /**
   * Drops what every group has done with; entries in hand stay, whatever their age. Run it now and then.
   * @returns how many were dropped @throws ConnectionLostError, or the client's error
   */
  trim(): Promise<number> {
    return within(this.#answerMs, this.#trim());
  }

  async #trim(): Promise<number> {
    const stream = `${this.prefix}stream`;
    let oldest: string | undefined;
    for (const fields of await this.#groups()) {
      const pending = rows([await this.#redis.xpending(stream, field(fields, 'name'))])[0];
      const next = typeof pending?.[1] === 'string' ? pending[1] : after(field(fields, 'last-delivered-id'));
      if (oldest === undefined || compare(next, oldest) < 0) oldest = next;
    }
    return oldest === undefined ? 0 : Number(await this.#redis.xtrim(stream, 'MINID', oldest));
  }

  protected dispatcher(group: string, reader: Reader, options: Required<SubscribeOptions>): Dispatcher {
    return new Dispatcher(group, reader, options, this.#dead);
  }

  /** What a dead consumer had in hand, oldest first; what we had ourselves before our connection broke. */
  protected async takeOver(redis: Redis, group: string, me: string, from: string): Promise<[string, Entry[]]> {
    const reply = await this.take(redis, group, me, from);
    return [String(reply[0]), entries(reply[1])];
  }

  /** One step: only who has the lease gets anything. @throws the client's error, also when the lease is another's */
  protected async take(redis: Redis, group: string, me: string, from: string): Promise<unknown[]> {
    const reply = await redis.eval(TAKE, 2, this.#lease(group), `${this.prefix}stream`, me, group, from);
    return Array.isArray(reply) ? reply : [];
  }

  #reading(): RedisOptions {
    return {
      // A command whose connection broke fails, rather than being sent again: what it had taken has to be taken up first.
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      stringNumbers: false,
      // Of the client's own, for quick commands: it would end each wait for news, and with it the lease and all tries.
      commandTimeout: undefined,
      // A connection that died without a word is noticed: while it lives there is an answer every 200 ms.
      socketTimeout: Math.max(1000, this.#leaseMs),
      // A failover behind the name: this server is a replica now, and the name leads to another. A Redis before 7 says so
      // within an error of its own where a script has met it.
      reconnectOnError: (error: Error) => /\bREADONLY\b/.test(error.message),
    };
  }

  #lease(group: string): string {
    return `${this.prefix}lease:${group}`;
  }

  async #groups(): Promise<unknown[][]> {
    return rows(await this.#redis.eval(GROUPS, 1, `${this.prefix}stream`));
  }

  async #createGroup(redis: Redis, group: string): Promise<void> {
    await redis.eval(CREATE, 1, `${this.prefix}stream`, group);
  }

  /** Never throws: an entry that can't be read would come again for ever, and keep all others from coming. */
  protected parse(fields: readonly string[]): Parsed {
    const text = field(fields, 'event');
    return parseEvent(text, text === '' ? JSON.stringify(fields) : text);
  }

  protected delivery(redis: Redis, group: string, id: string, event: Envelope): Delivery {
    return { event, ack: () => within(this.#leaseMs, redis.xack(`${this.prefix}stream`, group, id)) };
  }

  /** Serves the group while it has the lease; stands by while another has it. */
  async #serve(redis: Redis, group: string, stop: AbortSignal, open: () => Dispatcher, reader: Reader): Promise<void> {
    const me = randomUUID();
    const lease = this.#lease(group);
    // Over the connection that reads: a lease that lives while its holder can't hear keeps everybody waiting.
    const keep = async () => {
      const kept = within(this.#leaseMs, redis.eval(KEEP, 1, lease, me, this.#leaseMs));
      return (await kept.catch((error: unknown) => stop.aborted || inform(this.#onError, error))) === 1;
    };
    while (!stop.aborted) {
      if (!(await keep())) {
        await pause(this.#leaseMs / 3, stop);
        continue;
      }
      const dispatcher = open();
      const lost = new AbortController();
      const renewal = setInterval(() => {
        keep().then((kept) => kept || lost.abort());
      }, this.#leaseMs / 3);
      lost.signal.addEventListener('abort', () => dispatcher.abort());
      const accept = (delivery: Delivery) => {
        // What is not acknowledged stays in hand, and in the stream, until it is taken up again.
        const ack = () =>
          delivery.ack().catch((error: unknown) => {
            inform(this.#onError, error);
            lost.abort();
          });
        return dispatcher.accept({ ...delivery, ack });
      };
      const end = AbortSignal.any([stop, lost.signal]);
      end.addEventListener('abort', () => dispatcher.finish());
      try {
        // Redis may have come back without its data.
        await this.#createGroup(redis, group);
        await this.#read(redis, group, me, accept, reader, end);
      } catch (error) {
        // The connection broke: what is in hand comes again.
        dispatcher.abort();
        if (!stop.aborted) inform(this.#onError, error);
      }
      await dispatcher.drain();
      clearInterval(renewal);
      // Over the other connection: the one that reads may still wait for news.
      await within(this.#leaseMs, this.#redis.eval(LEAVE, 1, lease, me)).catch(() => {});
      await pause(this.#leaseMs / 3, stop);
    }
  }

  async #read(
    redis: Redis,
    group: string,
    me: string,
    accept: (delivery: Delivery) => Promise<void>,
    reader: Reader,
    end: AbortSignal,
  ): Promise<void> {
    const acceptAll = async (list: readonly Entry[]) => {
      for (const [id, fields] of list) {
        if (end.aborted) return;
        const parsed = this.parse(fields);
        const only = field(fields, 'only');
        const delivery = { ...this.delivery(this.#redis, group, id, parsed.event), ...parsed };
        const concerns = parsed.unreadable !== undefined || reader.types.includes(parsed.event.type);
        // What is replayed was a dead letter: where nobody has a handler for it, it is one again.
        if (only === '' ? concerns : only === group) await accept(delivery);
        else await delivery.ack();
      }
    };
    for (let from = '0-0'; !end.aborted; ) {
      const [next, list] = await this.takeOver(redis, group, me, from);
      await acceptAll(list);
      from = next;
      if (from === '0-0') break;
    }
    const stream = `${this.prefix}stream`;
    await redis.eval(TIDY, 2, this.#lease(group), stream, me, group);
    const wait = Math.min(Math.floor(this.#leaseMs / 3), 200);
    for (let last = '0-0'; !end.aborted; ) {
      const taken = rows(await this.take(redis, group, me, '>')).flatMap(([, list]) => entries(list));
      last = taken.at(-1)?.[0] ?? last;
      // A script can't block, so another command waits for news, and takes nothing.
      if (taken.length > 0) await acceptAll(taken);
      else await unless(end, redis.xread('COUNT', 1, 'BLOCK', wait, 'STREAMS', stream, last === '0-0' ? '$' : last));
    }
  }
}

/** Resolves when `work` does, or once `signal` aborts. */
async function unless(signal: AbortSignal, work: Promise<unknown>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const leave = () => resolve();
  if (signal.aborted) leave();
  signal.addEventListener('abort', leave);
  await Promise.race([work, promise]).finally(() => signal.removeEventListener('abort', leave));
}

const rows = (reply: unknown): unknown[][] => (Array.isArray(reply) ? reply.filter(Array.isArray) : []);
/** Entries that were deleted while in hand have no fields. */
const entries = (list: unknown): Entry[] =>
  rows(list).flatMap(([id, fields]) => (Array.isArray(fields) ? [[String(id), fields.map(String)] as const] : []));

function field(fields: readonly unknown[], name: string): string {
  const at = fields.findIndex((each, index) => index % 2 === 0 && each === name);
  return at < 0 ? '' : String(fields[at + 1]);
}

const parts = (id: string) => id.split('-').map(Number);
const after = (id: string) => `${parts(id)[0]}-${(parts(id)[1] ?? 0) + 1}`;
function compare(a: string, b: string): number {
  const [[ams = 0, aseq = 0], [bms = 0, bseq = 0]] = [parts(a), parts(b)];
  return ams - bms || aseq - bseq;
}
