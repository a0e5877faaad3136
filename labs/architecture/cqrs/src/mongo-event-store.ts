// The command side in MongoDB. Nothing else here needs this file or the package `mongodb`: without MongoDB leave both out.
import { setTimeout as delay } from 'node:timers/promises';
import { type Collection, type Db, MongoError, MongoServerError, MongoWriteConcernError } from 'mongodb';
import { ConflictError, InvalidArgumentError, StoreError } from './errors.ts';
import type { Append, Backlog, EventStore, NewEvent, Recorded } from './event-store.ts';
import { checkedEvent, checkedJson, checkedText, checkedWhole } from './text.ts';

export interface MongoStoreOptions {
  /** Milliseconds to try for a place in the log; then `append` rejects with a StoreError. Default 5,000. */
  readonly patienceMs?: number;
}

/** The events of one command: one document, since MongoDB writes a document whole or not at all. */
interface Commit {
  /** Position of the first event. Positions have no gaps: the next commit begins after the last event of this one. */
  readonly _id: number;
  /** Position of the last. */
  readonly last: number;
  readonly stream: string;
  /** Version of the first event. */
  readonly version: number;
  readonly commandId: string;
  /** As JSON, so that it comes back as it went: keys with a dot or a dollar, numbers, and the order of keys. */
  readonly events: string;
  /** By the server's clock. */
  readonly at: Date;
}

/**
 * The append-only book of the command side, in MongoDB, without a transaction and without a lock: three unique indexes decide.
 *
 * - _The place in the log._ A writer reads where the log ends and takes the place behind it; of two who take the same one is
 *   told so, and takes the next. A place can only be taken by who has seen that a majority has the one before it, so no
 *   reader can see 8 before 7. The price: writers of all streams compete for each place. Of n writers at once each needs up
 *   to n rounds.
 * - _The version in the stream._ Of two decisions on one version one is written; the other is told when a majority has that.
 * - _The command's id._ It is recorded in the document of its events.
 *
 * Limits: the events of a command fit in one document (16 MB), positions end at 2^53, and a log is one collection that is
 * not sharded: only one shard can keep the places unique. On a replica set what was answered outlives a failover: it was
 * written to a majority, and readers are shown nothing else.
 */
export class MongoEventStore<E extends NewEvent> implements EventStore<E> {
  protected readonly commits: Collection<Commit>;
  protected readonly patienceMs: number;

  /** @param name Of the collection. Default "orders". @throws InvalidArgumentError */
  constructor(db: Db, name = 'orders', { patienceMs = 5_000 }: MongoStoreOptions = {}) {
    this.commits = db.collection<Commit>(checkedText('name', name), {
      readConcern: { level: 'majority' },
      writeConcern: { w: 'majority', journal: true },
      readPreference: 'primary',
    });
    this.patienceMs = checkedWhole('patienceMs', patienceMs, 1);
  }

  /** Creates what is missing. Part of your migrations. */
  async migrate(): Promise<void> {
    await answered(
      this.commits.createIndexes([
        { key: { last: 1 }, name: 'log', unique: true },
        { key: { stream: 1, version: 1 }, name: 'stream', unique: true },
        { key: { commandId: 1 }, name: 'command', unique: true },
      ]),
    );
  }

  /**
   * @throws InvalidArgumentError for no event, and for what would not come back as it went. @throws ConflictError see EventStore
   * @throws StoreError which tells whether it may have been written
   */
  async append({ stream, expectedVersion, commandId, events }: Append<E>): Promise<bigint> {
    if (events.length === 0) throw new InvalidArgumentError(`Command ${commandId} has no event to append.`);
    const commit = {
      stream: checkedText('stream', stream),
      version: checkedWhole('expectedVersion', expectedVersion, 0) + 1,
      commandId: checkedText('command id', commandId),
      events: checkedJson('events', events.map(checkedEvent)),
    };
    const conflict = () =>
      new ConflictError(
        `${stream} is no longer at version ${expectedVersion}, or command ${commandId} is known: read it again and decide anew.`,
      );
    if ((await this.versionOf(stream)) !== expectedVersion) throw conflict();
    const deadline = performance.now() + this.patienceMs;
    let written: 'no' | 'unknown' = 'no';
    while (performance.now() < deadline) {
      const first = (await this.end(written)) + 1;
      const last = first + events.length - 1;
      const outcome = await this.place({ ...commit, _id: first, last });
      if (outcome === 'written') return BigInt(last);
      if (outcome === 'conflict') throw conflict();
      written = outcome === 'pending' ? 'unknown' : 'no';
      // Who comes back at once comes back together with those he met.
      await delay(Math.random() * 5);
    }
    throw new StoreError(
      `The log had no place within ${this.patienceMs} ms: too many write at once, or no majority confirms.`,
      written,
      undefined,
    );
  }

  /**
   * Where the log ends, as a majority has it. What the primary alone has may be lost with it, and come later, when the driver
   * sends it again to the next one: behind what a reader has seen.
   */
  protected async end(sent: 'no' | 'unknown' = 'no'): Promise<number> {
    const options = { sort: { last: -1 }, projection: { last: 1 } } as const;
    return (await answered(this.commits.findOne({}, options), sent))?.last ?? 0;
  }

  protected async versionOf(stream: string): Promise<number> {
    const newest = await answered(this.commits.findOne({ stream }, { sort: { version: -1 } }));
    return newest ? newest.version + newest.last - newest._id : 0;
  }

  /**
   * Takes a place, or learns that it, the version or the command is taken. `pending`: the version or the command is, and no
   * majority has that yet. It may be lost; and whoever reads again would not find it, and meet it again.
   */
  protected async place({ _id, ...commit }: Omit<Commit, 'at'>): Promise<'written' | 'taken' | 'pending' | 'conflict'> {
    try {
      // An upsert that can only insert, because the clock is to be the server's.
      await answered(
        this.commits.updateOne(
          { _id, at: { $exists: false } },
          { $setOnInsert: commit, $currentDate: { at: true } },
          { upsert: true },
        ),
        'unknown',
      );
      return 'written';
    } catch (error) {
      if (!(error instanceof StoreError) || !isDuplicate(error.cause)) throw error;
    }
    // Which of the indexes said no, its own documents say: the message is the server's to change. A retry of the driver's,
    // after an answer that was lost, finds its own document.
    const { stream, version, commandId } = commit;
    const theirs = { $or: [{ commandId }, { stream, version }] };
    if (await answered(this.commits.findOne(theirs), 'unknown')) return 'conflict';
    const found = this.commits.findOne(theirs, { readConcern: { level: 'local' } });
    return (await answered(found, 'unknown')) ? 'pending' : 'taken';
  }

  async read(stream: string): Promise<Recorded<E>[]> {
    const cursor = this.commits.find({ stream: checkedText('stream', stream) }, { sort: { version: 1 } });
    return (await answered(cursor.toArray())).flatMap((commit) => this.recorded(commit));
  }

  async readAll(after: bigint, limit: number): Promise<Recorded<E>[]> {
    checkedWhole('limit', limit, 1);
    const cursor = this.commits.find({ last: { $gt: Number(after) } }, { sort: { last: 1 }, limit });
    const events = (await answered(cursor.toArray())).flatMap((commit) => this.recorded(commit));
    return events.filter(({ position }) => position > after).slice(0, limit);
  }

  async positionOf(commandId: string): Promise<bigint | undefined> {
    const found = await answered(this.commits.findOne({ commandId: checkedText('command id', commandId) }));
    return found ? BigInt(found.last) : undefined;
  }

  async backlog(after: bigint): Promise<Backlog> {
    const from = Number(after);
    const beyond = this.commits.aggregate<{ last: number; ms: number }>([
      { $match: { last: { $gt: from } } },
      { $group: { _id: null, last: { $max: '$last' }, at: { $min: '$at' } } },
      { $project: { last: 1, ms: { $dateDiff: { startDate: '$at', endDate: '$$NOW', unit: 'millisecond' } } } },
    ]);
    const [found] = await answered(beyond.toArray());
    // Without gaps a difference is a count.
    return found ? { events: found.last - from, ms: Math.max(0, Number(found.ms)) } : { events: 0, ms: 0 };
  }

  protected recorded({ _id, stream, version, events, at }: Commit): Recorded<E>[] {
    const told: E[] = JSON.parse(events);
    return told.map((event, n) => ({ ...event, position: BigInt(_id + n), stream, version: version + n, at }));
  }
}

const isDuplicate = (error: unknown) => error instanceof MongoServerError && error.code === 11000;

/**
 * @param sent What is true of a write when no answer comes. The driver asks again by itself, and its last error may be that
 * there is no server to ask: that says nothing of the first time.
 * @throws StoreError instead of the driver's own errors
 */
async function answered<T>(asked: Promise<T>, sent: 'no' | 'unknown' = 'no'): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    // A socket that breaks while the driver writes to it is told by Node's own error, which has the name of the call.
    if (!(error instanceof MongoError || (error instanceof Error && 'syscall' in error))) throw error;
    // Not so where server or driver say that it may pass: a primary that stepped down, a majority that has not confirmed.
    const refused = error instanceof MongoServerError && !error.hasErrorLabel('RetryableWriteError');
    if (refused && !(error instanceof MongoWriteConcernError))
      throw new StoreError(`MongoDB refused: ${error.message}`, 'no', error);
    throw new StoreError(`MongoDB did not answer: ${error.message}`, sent, error);
  }
}
