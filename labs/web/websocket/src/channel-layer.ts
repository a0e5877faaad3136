import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import { ClosedError, InvalidArgumentError, refuseBadNumbers, reportTo } from './errors.ts';
import { GroupStreams } from './group-streams.ts';
import { BEGINNING, isBefore, isId, type JsonValue, type Message } from './message.ts';

export interface ChannelLayerOptions {
  /** Of a Redis 5 or newer, as `redis://127.0.0.1:6379`. One server: the streams of a Redis Cluster can't be read at once. */
  readonly url: string;
  /** What all keys begin with. Default `channels:`. */
  readonly prefix?: string;
  /** Messages that a group keeps for whoever was away. Default 1000. */
  readonly keep?: number;
  /** Milliseconds that a group is kept after its last message. Default a day. */
  readonly keepMs?: number;
  /** Told when Redis is lost, once, and of what a member throws. */
  readonly onError: (error: unknown) => void;
}

/** Who hears what is sent to a group: most likely one socket. */
export interface Member {
  deliver(message: Message): void;
  /** Something between what was delivered last and what is delivered next is lost: what is shown of `group` is out of date. */
  resync(group: string): void;
  /** Waited for between two pages of what was missed: who reads slowly is given it slowly. */
  drained?(): Promise<void>;
}

export interface JoinOptions {
  /** The id of the last message that the member has seen: all that came later is delivered. Default: what comes from now on. */
  readonly after?: string | undefined;
}

/** A member in its place. */
export interface Seat {
  /** Nobody, once it has left. */
  member: Member;
  /** The id of the last message that it was given. */
  last: string;
  /** It is told what the process reads; until then it is being told what it has missed. */
  live: boolean;
}

/** A group that this process reads. */
export interface Group {
  readonly name: string;
  readonly seats: Map<Member, Seat>;
  /** Up to this id the process has read; undefined until it knows where it begins. */
  cursor: string | undefined;
  readonly ready: Promise<void>;
}

const LOST = 'Redis is lost. What is sent meanwhile by others is delivered when it is back.';
const RETRY_MS = 50;
/** Sits where a member was that has left while it was being told something. */
const NOBODY: Member = { deliver() {}, resync() {} };

/**
 * Groups whose members are in many processes: the channel layer of Django Channels
 * (https://channels.readthedocs.io/en/stable/topics/channel_layers.html), whose groups lose what nobody was there to hear.
 * These are Redis Streams, so that it can be asked for. Each process reads all of its groups by one connection, from the ids
 * that it has seen. All members of a group get its messages in the one order that Redis has them in, each once.
 */
export class ChannelLayer {
  protected readonly streams: GroupStreams;
  protected readonly groups = new Map<string, Group>();
  readonly #onError: (error: unknown) => void;
  readonly #closing = new AbortController();

  constructor(options: ChannelLayerOptions) {
    const { url, prefix = 'channels:', keep = 1000, keepMs = 86_400_000, onError } = options;
    refuseBadNumbers({ keep, keepMs }, Number.MAX_SAFE_INTEGER);
    this.#onError = onError;
    this.streams = new GroupStreams({ url, prefix, keep, keepMs });
    void this.#read();
  }

  /**
   * Resolves once Redis has it: from then on it is delivered to whoever is a member, or becomes one and asks for it.
   * @returns the message's id @throws UnavailableError, InvalidArgumentError, ClosedError
   */
  async send(group: string, body: JsonValue): Promise<string> {
    refuseBadName(group);
    return this.publish(group, toJson(body));
  }

  /**
   * What is sent to `group` after this has resolved is delivered to `member`, and before that all that came after `after`.
   * @returns the id to ask for later, if nothing is delivered until then
   * @throws UnavailableError, InvalidArgumentError, ClosedError
   */
  async join(name: string, member: Member, { after }: JoinOptions = {}): Promise<string> {
    refuseBadName(name);
    if (after !== undefined && !isId(after)) {
      throw new InvalidArgumentError(`after is ${inspect(after)}: give the id of a message, as 1700000000000-0.`);
    }
    if (this.#closing.signal.aborted) throw new ClosedError('The channel layer');
    const group = this.groups.get(name) ?? this.#follow(name);
    if (group.seats.has(member))
      throw new InvalidArgumentError(`This member is in ${name} already: let it leave first.`);
    const seat: Seat = { member, last: after ?? '', live: false };
    group.seats.set(member, seat);
    try {
      await group.ready;
      if (after === undefined) this.#beginWith(seat, group.cursor);
      else await this.catchUp(group, seat);
    } catch (error) {
      if (group.seats.get(member) === seat) this.leave(name, member);
      throw error;
    }
    return seat.last;
  }

  /** Nothing more is delivered to it, from now on. @returns whether it was a member */
  leave(name: string, member: Member): boolean {
    const group = this.groups.get(name);
    const seat = group?.seats.get(member);
    if (!group || !seat) return false;
    seat.member = NOBODY;
    group.seats.delete(member);
    if (group.seats.size === 0) this.groups.delete(name);
    return true;
  }

  /** No member is told anything any more; what waits for Redis rejects with a ClosedError. */
  async close(): Promise<void> {
    this.#closing.abort();
    for (const { name, seats } of this.groups.values()) for (const member of seats.keys()) this.leave(name, member);
    // A read that is under way ends by itself, with nobody to tell: a Redis that is away may never end it.
    this.streams.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Members of this process hear of it as all others do: by what is read from Redis. @returns the message's id */
  protected publish(group: string, json: string): Promise<string> {
    return this.streams.append(group, json);
  }

  /**
   * Delivers what `seat` has missed, page by page, until it is where the process is. It is live in that very moment: what is
   * read later is delivered by `pump`, and nothing is in between.
   */
  protected async catchUp(group: Group, seat: Seat): Promise<void> {
    for (;;) {
      const cursor = group.cursor;
      const { messages, last } = await this.streams.history(group.name, seat.last);
      if (group.seats.get(seat.member) !== seat) return;
      for (const message of messages) this.deliver(seat, message);
      if (messages.length === 0 && last !== seat.last) this.lost(group, seat, last);
      // Redis has nothing more although the process has read more: only if that was deleted.
      const nothingMore = messages.length === 0 && group.cursor === cursor;
      if (nothingMore || !isBefore(seat.last, group.cursor ?? BEGINNING)) break;
      await seat.member.drained?.();
    }
    seat.live = true;
  }

  /** From which id each group is to be read on. */
  protected cursors(): Map<string, string> {
    const cursors = new Map<string, string>();
    for (const { name, cursor } of this.groups.values()) {
      if (cursor !== undefined) cursors.set(name, cursor);
    }
    return cursors;
  }

  /** Takes what the process has read, each group's messages in their order, and hands it on to the members that are live. */
  protected pump(messages: readonly Message[]): void {
    for (const message of messages) {
      const group = this.groups.get(message.group);
      if (group?.cursor === undefined || !isBefore(group.cursor, message.id)) continue;
      group.cursor = message.id;
      for (const seat of group.seats.values()) if (seat.live) this.deliver(seat, message);
    }
  }

  /** Hands `message` to a member, unless it had it; and says so before, if there was one in between that it will never have. */
  protected deliver(seat: Seat, message: Message): void {
    if (!isBefore(seat.last, message.id)) return;
    if (message.prev !== seat.last) this.tell(() => seat.member.resync(message.group));
    seat.last = message.id;
    this.tell(() => seat.member.deliver(message));
  }

  /** What `seat` has seen last isn't there any more, and nothing that came after it: it goes on at `last`. */
  protected lost(group: Group, seat: Seat, last: string): void {
    seat.last = last;
    this.tell(() => seat.member.resync(group.name));
  }

  /** What one member throws is no other one's loss. */
  protected tell(what: () => unknown): void {
    const failed = (error: unknown) =>
      void reportTo(this.#onError, 'A member has thrown: what it was told, it may not have.', error);
    try {
      const done = what();
      if (done instanceof Promise) done.catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  #beginWith(seat: Seat, cursor = BEGINNING): void {
    seat.last = cursor;
    seat.live = true;
  }

  #follow(name: string): Group {
    const group: Group = {
      name,
      seats: new Map(),
      cursor: undefined,
      ready: this.streams.last(name).then((last) => {
        group.cursor = last;
        return this.streams.wake();
      }),
    };
    this.groups.set(name, group);
    return group;
  }

  async #read(): Promise<void> {
    const { signal } = this.#closing;
    for (let away = false; !signal.aborted; ) {
      try {
        if (away) await this.#lookAgain();
        const messages = await this.streams.next(this.cursors());
        away = false;
        this.pump(messages);
      } catch (error) {
        if (signal.aborted) return;
        if (!away) void reportTo(this.#onError, LOST, error);
        away = true;
        await delay(RETRY_MS, undefined, { signal }).catch(() => {});
      }
    }
  }

  /** A Redis that has come back may have less than it had, and give ids anew that were given. */
  async #lookAgain(): Promise<void> {
    for (const group of this.groups.values()) {
      const last = await this.streams.last(group.name);
      if (group.cursor === undefined || !isBefore(last, group.cursor)) continue;
      group.cursor = last;
      for (const seat of group.seats.values()) if (seat.live) this.lost(group, seat, last);
    }
  }
}

/** @throws InvalidArgumentError */
export function refuseBadName(group: unknown): void {
  if (typeof group === 'string' && group !== '' && group.length <= 256 && group.isWellFormed()) return;
  throw new InvalidArgumentError(
    `The name of a group is ${inspect(group)}: give a text of 1 to 256 characters without half a surrogate pair.`,
  );
}

/** @throws InvalidArgumentError */
export function toJson(content: JsonValue): string {
  let json: string | undefined;
  try {
    json = JSON.stringify(content);
  } catch (error) {
    throw new InvalidArgumentError('What is to be sent has no JSON: a cycle, a bigint, or too deep.', { cause: error });
  }
  if (json === undefined) throw new InvalidArgumentError(`What is to be sent is ${inspect(content)}: it has no JSON.`);
  return json;
}
