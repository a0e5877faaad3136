import { setTimeout } from 'node:timers/promises';
import {
  Admin,
  compatibilityPartitioner,
  findErrorBy,
  ListOffsetTimestamps,
  type MessageToProduce,
  ProduceAcks,
  Producer,
} from '@platformatic/kafka';
import { BadArgumentError, LogRequestError, NotWrittenError, QueueClosedError, reasonOf } from './errors.ts';
import { type ConsumeOptions, GroupMember, type Incoming, type MemberOptions, type RecordHandler } from './group.ts';
import { checkContent, checkText, checkWholeNumber, MOST } from './wait.ts';

export interface LogOptions {
  /** `host:port` of one or more brokers. */
  readonly bootstrap: readonly string[];
  /** Milliseconds that a broker may take for an answer. Default 5000. */
  readonly answerMs?: number;
  /** Milliseconds for which records are sent again, through the election of a new leader too. Default 30,000. */
  readonly deliveryMs?: number;
  /** Milliseconds that handlers may take to end once they are stopped; then their records come again. Default 5000. */
  readonly graceMs?: number;
  /** Hears of whatever makes a consumer begin anew. Default: nobody does. */
  readonly onError?: (error: unknown) => void;
}

export interface TopicSpec {
  readonly name: string;
  readonly partitions: number;
  /** Of each key only the last record is kept, sooner or later. A record without a value deletes its key. */
  readonly compacted?: boolean;
}

export interface OutgoingRecord {
  /** What has to stay in order has one key. */
  readonly key: string;
  /** null deletes the key from a compacted topic. */
  readonly value: string | Buffer | null;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Position {
  readonly partition: number;
  readonly offset: bigint;
}

const RETRY_MS = 200;
const REASON = 'x-reason';

const later = (a: bigint, b: bigint): bigint => (a > b ? a : b);

interface Sender {
  readonly producer: Producer;
  sending: number;
}

/** Records through Kafka: in order for each key, kept after they are read, and committed after the work. */
export class Log {
  readonly #options: Required<LogOptions>;
  readonly #admin: Admin;
  readonly #members = new Set<GroupMember>();
  readonly #senders = new Set<Sender>();
  #sender: Sender | undefined;
  #closed = false;

  constructor(options: LogOptions) {
    const { bootstrap, answerMs = 5000, deliveryMs = 30_000, graceMs = 5000, onError = () => {} } = options;
    if (bootstrap.length === 0) throw new BadArgumentError('bootstrap names no broker: give it host:port of one');
    checkWholeNumber(answerMs, 'answerMs', 1, MOST);
    checkWholeNumber(deliveryMs, 'deliveryMs', 0, MOST);
    checkWholeNumber(graceMs, 'graceMs', 0, MOST);
    // What it throws is uncaught, and stops nothing here.
    const hear = (error: unknown) => queueMicrotask(() => onError(error));
    this.#options = { bootstrap: [...bootstrap], answerMs, deliveryMs, graceMs, onError: hear };
    this.#admin = new Admin(this.#connection(3));
  }

  /** Makes the topics that are not there, each with its TOPIC.dead. @throws LogRequestError */
  async create(...topics: readonly TopicSpec[]): Promise<void> {
    for (const { name, partitions, compacted = false } of topics) {
      checkText(name, 'a topic');
      checkWholeNumber(partitions, 'partitions', 1, 100_000);
      const policy = { name: 'cleanup.policy', value: compacted ? 'compact' : 'delete' };
      // Whatever the topic takes has room there, with its reason.
      const room = { name: 'max.message.bytes', value: '2147483647' };
      for (const [topic, configs] of [
        [name, [policy]],
        [`${name}.dead`, [room]],
      ] as const) {
        const request = {
          topics: [topic],
          partitions: topic === name ? partitions : 1,
          replicas: -1,
          configs: [...configs],
        };
        await this.#ask(`make topic ${topic}`, this.#admin.createTopics(request), 'TOPIC_ALREADY_EXISTS');
      }
    }
  }

  /**
   * Resolves once all copies that are in step have the records, with their places. The client sends again what was not
   * answered, numbered, so that a broker takes it once. Records of several calls at once are in the order of the calls
   * as long as none fails: where that is not enough, await one before the next.
   *
   * @throws NotWrittenError, BadArgumentError, QueueClosedError
   */
  async produce(topic: string, records: readonly OutgoingRecord[]): Promise<void> {
    this.#throwIfClosed();
    checkText(topic, 'a topic');
    const messages = records.map((record) => {
      const { key, value, headers = {} } = record;
      checkText(key, 'a key');
      if (value !== null) checkContent(value, 'a value');
      for (const [name, text] of Object.entries(headers)) checkContent(text, `header ${name}`);
      return this.message(topic, record);
    });
    await this.#write(topic, messages);
  }

  async #write(topic: string, messages: MessageToProduce[]): Promise<void> {
    this.#sender ??= this.#open();
    const sender = this.#sender;
    const { producer } = sender;
    sender.sending++;
    try {
      // Said here: among a producer's options `idempotent` makes the client (2.12) hang where it should fail. And its own
      // partitioner keeps the sign bit of the hash, which the Java clients clear: one key would have two partitions.
      await producer.send({ messages, partitioner: compatibilityPartitioner, ...this.guarantees() });
    } catch (cause) {
      // What became of its numbers is unknown: the next one begins with numbers of its own.
      if (this.#sender === sender) this.#sender = undefined;
      throw new NotWrittenError(`${topic}: not confirmed, it may have arrived: ${reasonOf(cause)}`, { cause });
    } finally {
      // What others have on their way is not to blame.
      if (--sender.sending === 0 && this.#sender !== sender) {
        this.#senders.delete(sender);
        producer.close(true).catch(() => {});
      }
    }
  }

  /** Handles the records of a topic as one member of a group. Each record has one member at a time. */
  consume(options: ConsumeOptions, handler: RecordHandler): { stop(): Promise<void> } {
    this.#throwIfClosed();
    const { group, topic, concurrency = 16, retryDelaysMs = [100, 1000, 10_000], sessionMs = 10_000 } = options;
    checkText(group, 'a group');
    checkText(topic, 'a topic');
    checkWholeNumber(concurrency, 'concurrency', 1, 10_000);
    checkWholeNumber(sessionMs, 'sessionMs', 30, MOST);
    for (const ms of retryDelaysMs) checkWholeNumber(ms, 'a retry delay', 0, MOST);
    const member = this.member({
      ...{ group, topic, concurrency, retryDelaysMs: [...retryDelaysMs], sessionMs, handler },
      onError: this.#options.onError,
      connection: this.#connection(0),
      bury: (record, reason) => this.#bury(record, reason),
    });
    this.#members.add(member);
    member.start();
    return {
      stop: async () => {
        this.#members.delete(member);
        await member.stop(this.#options.graceMs);
      },
    };
  }

  /**
   * Records that are there and that the group has not committed, by partition. The mark that ends a transaction counts as
   * one, until a record behind it is done: it has an offset, and nobody handles it.
   *
   * @throws LogRequestError, BadArgumentError
   */
  async lag(group: string, topic: string): Promise<ReadonlyMap<number, bigint>> {
    checkText(group, 'a group');
    const [ends, starts] = [
      await this.#bounds(topic, ListOffsetTimestamps.LATEST),
      await this.#bounds(topic, ListOffsetTimestamps.EARLIEST),
    ];
    const groups = await this.#ask(
      `read what ${group} committed`,
      this.#admin.listConsumerGroupOffsets({ groups: [group] }),
    );
    const committed = new Map(
      groups
        ?.flatMap(({ topics }) => topics.filter(({ name }) => name === topic))
        .flatMap(({ partitions }) =>
          partitions.map(({ partitionIndex, committedOffset }) => [partitionIndex, committedOffset]),
        ),
    );
    // A bookmark may lie before what is kept, or behind the end of a topic that was made anew.
    return new Map(
      [...ends].map(([at, end]) => [at, later(end - later(committed.get(at) ?? 0n, starts.get(at) ?? 0n), 0n)]),
    );
  }

  /**
   * Sets where a group reads on: replay, or skip. Its members have to be stopped: for one that is not forgotten yet it
   * waits, `answerMs` at most.
   *
   * @throws LogRequestError, BadArgumentError
   */
  async seek(group: string, topic: string, to: 'earliest' | 'latest' | readonly Position[]): Promise<void> {
    checkText(group, 'a group');
    if (typeof to === 'string' && to !== 'earliest' && to !== 'latest') {
      throw new BadArgumentError(`a group reads on at "earliest", "latest" or offsets, not at ${JSON.stringify(to)}`);
    }
    for (const { partition, offset } of typeof to === 'string' ? [] : to) {
      checkWholeNumber(partition, 'a partition', 0, MOST);
      if (typeof offset !== 'bigint' || offset < 0n)
        throw new BadArgumentError(`${offset} is no offset: it is a bigint from 0n`);
    }
    const placesOf = async (timestamp: bigint) =>
      [...(await this.#bounds(topic, timestamp))].map(([partition, offset]) => ({ partition, offset }));
    const { EARLIEST, LATEST } = ListOffsetTimestamps;
    const places = typeof to === 'string' ? await placesOf(to === 'earliest' ? EARLIEST : LATEST) : [...to];
    const topics = [{ name: topic, partitionOffsets: places }];
    for (const since = performance.now(); ; await setTimeout(50)) {
      const moved = this.#admin.alterConsumerGroupOffsets({ groupId: group, topics }).then(() => true);
      const patient = performance.now() - since < this.#options.answerMs;
      if (await this.#ask(`move ${group}`, moved, patient ? 'UNKNOWN_MEMBER_ID' : undefined)) return;
    }
  }

  /** Waits for handlers, `graceMs` at most, then leaves groups and brokers. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#members].map((each) => each.stop(this.#options.graceMs)));
    await Promise.allSettled([...[...this.#senders].map(({ producer }) => producer.close(true)), this.#admin.close()]);
  }

  protected message(topic: string, { key, value, headers = {} }: OutgoingRecord): MessageToProduce {
    const pairs = Object.entries(headers).map(([name, text]) => [Buffer.from(name), Buffer.from(text)] as const);
    return {
      topic,
      key: Buffer.from(key),
      ...(value !== null && { value: Buffer.from(value) }),
      headers: new Map(pairs),
    };
  }

  /** `idempotent`: each record has a number, and is taken once. */
  protected guarantees() {
    return { acks: ProduceAcks.ALL, idempotent: true };
  }

  protected member(options: MemberOptions): GroupMember {
    return new GroupMember(options);
  }

  /** Byte for byte, whatever key it has: one that can't be kept would hold up its partition for ever. */
  async #bury({ topic, key, value, headers }: Incoming, reason: string): Promise<void> {
    const told = [...headers].filter(([name]) => name?.toString() !== REASON);
    told.push([Buffer.from(REASON), Buffer.from(reason.slice(0, 1000))]);
    const dead = `${topic}.dead`;
    await this.#write(dead, [{ topic: dead, key, value, headers: new Map(told) }]);
  }

  #open(): Sender {
    const producer = new Producer(this.#connection(Math.ceil(this.#options.deliveryMs / RETRY_MS)));
    const sender = { producer, sending: 0 };
    this.#senders.add(sender);
    return sender;
  }

  /** Its first or next offset, by partition. */
  async #bounds(topic: string, timestamp: bigint): Promise<ReadonlyMap<number, bigint>> {
    const known = await this.#ask(`find ${topic}`, this.#admin.metadata({ topics: [topic], forceUpdate: true }));
    const count = known?.topics.get(topic)?.partitionsCount ?? 0;
    const partitions = Array.from({ length: count }, (_, partitionIndex) => ({ partitionIndex, timestamp }));
    const listed = await this.#ask(`read ${topic}`, this.#admin.listOffsets({ topics: [{ name: topic, partitions }] }));
    return new Map(
      listed?.flatMap((each) => each.partitions).map(({ partitionIndex, offset }) => [partitionIndex, offset]),
    );
  }

  /** `harmless`: the error of Kafka that means that it is so already. */
  async #ask<T>(what: string, request: Promise<T>, harmless?: string): Promise<T | undefined> {
    this.#throwIfClosed();
    try {
      return await request;
    } catch (cause) {
      if (harmless !== undefined && cause instanceof Error && findErrorBy(cause, 'apiId', harmless)) return undefined;
      throw new LogRequestError(`could not ${what}: ${reasonOf(cause)}`, { cause });
    }
  }

  #throwIfClosed(): void {
    if (this.#closed) throw new QueueClosedError('the log is closed: open another');
  }

  #connection(retries: number) {
    const { bootstrap, answerMs } = this.#options;
    const times = { timeout: answerMs, requestTimeout: answerMs, retryDelay: RETRY_MS };
    return { clientId: 'log', bootstrapBrokers: [...bootstrap], retries, ...times };
  }
}
