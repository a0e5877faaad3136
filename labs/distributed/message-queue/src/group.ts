import { type BaseOptions, Consumer, type Message } from '@platformatic/kafka';
import { PermanentError, QueueClosedError, reasonOf } from './errors.ts';
import { OffsetTracker } from './offsets.ts';
import { backoff, elapse, MOST, orAborted, settledWithin } from './wait.ts';

export interface LogRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly key: string;
  readonly value: Buffer | null;
  readonly headers: ReadonlyMap<string, string>;
}

export interface ConsumeOptions {
  readonly group: string;
  readonly topic: string;
  /** Records in hand at once: at work, or waiting for one of their key. Default 16. */
  readonly concurrency?: number;
  /** Milliseconds before the second, third, … attempt; meanwhile the key waits. Then: TOPIC.dead. Default 100, 1 s, 10 s. */
  readonly retryDelaysMs?: readonly number[];
  /** Milliseconds without a heartbeat after which the group gives our partitions to others. Default 10,000. */
  readonly sessionMs?: number;
}

/** The signal aborts when the partition may be another's, or on close: the record comes again, to somebody. */
export type RecordHandler = (record: LogRecord, signal: AbortSignal) => Promise<unknown> | unknown;

export interface MemberOptions extends Required<ConsumeOptions> {
  readonly handler: RecordHandler;
  readonly connection: BaseOptions & { readonly timeout: number };
  readonly onError: (error: unknown) => void;
  /** Keeps a record that can't be handled, as it came. */
  readonly bury: (record: Incoming, reason: string) => Promise<void>;
}

export type Incoming = Message;
export type Tracker = Pick<OffsetTracker, 'take' | 'done' | 'unfinished'>;
export interface Commit extends Pick<Incoming, 'topic' | 'partition' | 'offset' | 'leaderEpoch'> {}

/** One member of a consumer group. It begins anew, at what is committed, whenever the group shares out its partitions. */
export class GroupMember {
  protected readonly options: MemberOptions;
  readonly #consumer: Consumer;
  readonly #stop = new AbortController();
  #tenure: Tenure | undefined;
  #running: Promise<void> | undefined;

  constructor(options: MemberOptions) {
    this.options = options;
    const { group, sessionMs, connection } = options;
    const rebalanceTimeout = Math.max(sessionMs, 10_000);
    this.#consumer = new Consumer({
      ...connection,
      groupId: group,
      // Of its own accord the client would join again and then commit what it did before: it may be another's by now.
      retries: 0,
      autocommit: false,
      sessionTimeout: sessionMs,
      rebalanceTimeout,
      // Whoever joins is answered when the others have, too.
      requestTimeout: Math.min(rebalanceTimeout + connection.timeout, MOST),
      heartbeatInterval: Math.ceil(sessionMs / 10),
      maxWaitTime: 1000,
    });
    // Held by us too: the client would leave and join the group, and disturb it, whenever a stream is replaced.
    this.#consumer.topics.track(options.topic);
    const shared = () => this.rebalanced();
    this.#consumer.on('consumer:group:rebalance', shared);
    this.#consumer.on('consumer:group:join', shared);
    this.#consumer.on('error', (error: unknown) => this.#tenure?.end(error));
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Waits for its handlers, `graceMs` at most, commits what is done, and leaves the group. */
  async stop(graceMs: number): Promise<void> {
    this.#stop.abort(new QueueClosedError('the consumer was stopped'));
    await this.#tenure?.drain(graceMs);
    this.#tenure?.end(this.#stop.signal.reason);
    // A client that is still joining would join behind its goodbye, and stay.
    await settledWithin([this.#running ?? Promise.resolve()], this.options.connection.timeout);
    await this.#consumer.close(true).catch(() => {});
  }

  /** The group shares out its partitions: whoever works on what he had is told, and begins anew. */
  protected rebalanced(): void {
    this.#tenure?.end(new QueueClosedError('the partition may be another member’s now'));
  }

  protected tenure(): Tenure {
    return new Tenure(this.options, this.commit);
  }

  protected readonly commit = (offsets: Commit[]): Promise<void> => this.#consumer.commit({ offsets });

  async #run(): Promise<void> {
    const { topic, onError } = this.options;
    const { signal: stopped } = this.#stop;
    for (let failures = 0; !stopped.aborted; ) {
      const tenure = this.tenure();
      try {
        this.#tenure = undefined;
        if (this.#consumer.memberId !== null && !this.#consumer.isActive()) await this.#consumer.joinGroup();
        const stream = await this.#consumer.consume({ topics: [topic], mode: 'committed', fallbackMode: 'earliest' });
        const { generationId } = this.#consumer;
        this.#tenure = tenure;
        const close = () => void stream.close().catch(() => {});
        tenure.over.addEventListener('abort', close);
        stopped.addEventListener('abort', close);
        try {
          for await (const message of stream) {
            if (tenure.over.aborted || stopped.aborted) break;
            // Read before the last sharing out, and still in the stream's buffer.
            if (of(message) !== generationId) break;
            await tenure.accept(message);
            failures = 0;
          }
        } finally {
          stopped.removeEventListener('abort', close);
          tenure.over.removeEventListener('abort', close);
          close();
        }
        if (!stopped.aborted && !tenure.over.aborted) tenure.end(new Error('the stream ended'));
      } catch (error) {
        tenure.end(error);
      }
      if (stopped.aborted) break;
      const { reason } = tenure.over;
      if (!(reason instanceof QueueClosedError)) {
        onError(reason);
        await elapse(backoff(++failures), stopped);
      }
      // Two at work on one key would overtake each other.
      await orAborted(tenure.idle(), stopped).catch(() => {});
    }
  }
}

const of = ({ metadata }: Incoming): unknown => {
  const { consumer } = metadata;
  return typeof consumer === 'object' && consumer && 'generationId' in consumer ? consumer.generationId : undefined;
};

/** What one member does between two sharings-out: it owns its partitions as long. */
export class Tenure {
  protected readonly options: MemberOptions;
  protected readonly commit: (offsets: Commit[]) => Promise<void>;
  readonly #end = new AbortController();
  readonly #trackers = new Map<number, Tracker>();
  /** The last work on each key. */
  readonly #keys = new Map<string, Promise<void>>();
  readonly #running = new Set<Promise<void>>();
  readonly #ripe = new Map<number, Commit>();
  #committing: Promise<void> | undefined;

  constructor(options: MemberOptions, commit: (offsets: Commit[]) => Promise<void>) {
    this.options = options;
    this.commit = commit;
  }

  get over(): AbortSignal {
    return this.#end.signal;
  }

  end(reason: unknown): void {
    this.#end.abort(reason);
  }

  async idle(): Promise<void> {
    await Promise.allSettled(this.#running);
    await this.#committing?.catch(() => {});
  }

  async drain(graceMs: number): Promise<void> {
    await settledWithin([this.idle()], graceMs);
  }

  /** Begins the work on a record; resolves when there is room for another. */
  async accept(message: Incoming): Promise<void> {
    const { partition, offset } = message;
    const tracker = this.#trackers.get(partition) ?? this.tracker();
    this.#trackers.set(partition, tracker);
    tracker.take(offset);
    const lane = this.lane(message);
    const before = this.#keys.get(lane);
    const work = (async () => {
      await before;
      if (!this.over.aborted) await this.handle(message, tracker);
    })().catch((error: unknown) => this.end(error));
    this.#keys.set(lane, work);
    this.#running.add(work);
    work.then(() => {
      this.#running.delete(work);
      if (this.#keys.get(lane) === work) this.#keys.delete(lane);
    });
    while (this.#running.size >= this.options.concurrency && !this.over.aborted) {
      await orAborted(Promise.race(this.#running), this.over).catch(() => {});
    }
  }

  protected tracker(): Tracker {
    return new OffsetTracker();
  }

  /** The work, and only then the commit. */
  protected async handle(message: Incoming, tracker: Tracker): Promise<void> {
    await this.work(message);
    const next = tracker.done(message.offset);
    if (next !== undefined && !this.over.aborted) this.commitSoon(message, next);
  }

  /** Records of one lane are handled one after the other. */
  protected lane({ partition, key }: Incoming): string {
    return `${partition} ${text(key)}`;
  }

  /** All attempts. What can't be handled is kept elsewhere, so that the rest goes on. */
  protected async work(message: Incoming): Promise<void> {
    const { handler, retryDelaysMs, bury } = this.options;
    for (let attempt = 0; ; attempt++) {
      try {
        // A new one each time: what an attempt does to it must not be in the next.
        await handler(recordOf(message), this.over);
        return;
      } catch (error) {
        if (this.over.aborted) return;
        const delayMs = error instanceof PermanentError ? undefined : retryDelaysMs[attempt];
        if (delayMs === undefined) return bury(message, reasonOf(error));
        await elapse(delayMs, this.over);
        if (this.over.aborted) return;
      }
    }
  }

  /** Commits `offset` for the partition of a record, as soon as the commit before is through. */
  protected commitSoon({ topic, partition, leaderEpoch }: Incoming, offset: bigint): void {
    this.#ripe.set(partition, { topic, partition, offset, leaderEpoch });
    // One at a time: of two on their way the older one could arrive last.
    this.#committing ??= this.#commitAll().finally(() => {
      this.#committing = undefined;
    });
  }

  async #commitAll(): Promise<void> {
    try {
      while (this.#ripe.size > 0 && !this.over.aborted) {
        const offsets = [...this.#ripe.values()];
        this.#ripe.clear();
        await this.commit(offsets);
      }
    } catch (error) {
      this.end(error);
    }
  }
}

function recordOf({ topic, partition, offset, key, value, headers }: Incoming): LogRecord {
  return Object.freeze({
    topic,
    partition,
    offset,
    key: text(key),
    value: value ? Buffer.from(value) : null,
    headers: new Map([...headers].map(([name, header]) => [text(name), text(header)])),
  });
}

// Kafka lets each of them be absent, whatever the client's types say.
const text = (data: Buffer | null | undefined): string => data?.toString() ?? '';
