import { inspect } from 'node:util';
import { isNativeError } from 'node:util/types';
import {
  BSON,
  type ChangeStream,
  type ChangeStreamDeleteDocument,
  type ChangeStreamDocument,
  type ChangeStreamInsertDocument,
  type ChangeStreamReplaceDocument,
  type ChangeStreamUpdateDocument,
  type ClientSession,
  Collection,
  type Document,
  MongoClient,
  MongoClientClosedError,
  MongoError,
  MongoNetworkError,
  MongoNotConnectedError,
  MongoOperationTimeoutError,
  MongoServerError,
  MongoServerSelectionError,
  MongoTopologyClosedError,
  type WithId,
} from 'mongodb';
import {
  ChangeStreamError,
  FencedError,
  ImageMissingError,
  InvalidArgumentError,
  ProjectionError,
  ServerUnreachableError,
  StreamRefusedError,
} from './errors.ts';
import { isPosition, type Position, positionOfNow, startingAt } from './position.ts';
import { fieldNames } from './touching.ts';

/** A change of one document. */
export type DocumentChange<T extends Document = Document> =
  | ChangeStreamInsertDocument<T>
  | ChangeStreamUpdateDocument<T>
  | ChangeStreamReplaceDocument<T>
  | ChangeStreamDeleteDocument<T>;

/** The transaction in which an effect is written, together with how far the projection is. */
export interface Tx {
  /** Every write of the effect names it: `{ session }`. When `apply` or `copy` has ended, it has: MongoExpiredSessionError. */
  readonly session: ClientSession;
  /** Of which copy the rows are. A new copy is made beside the one that is read. */
  readonly generation: number;
}

/**
 * What is made of the changes. After a copy, changes that it has seen already come again: write by document (set what is),
 * not by event (add one), unless the source is empty at the start and never copied. A transaction may be tried twice: keep
 * to writes of `tx.session`.
 */
export interface Projection<T extends Document> {
  apply(change: DocumentChange<T>, tx: Tx): Promise<unknown>;
  copy(documents: readonly WithId<T>[], tx: Tx): Promise<unknown>;
  /** Removes the rows of all generations below this one: nobody reads them any more. */
  sweep(generation: number): Promise<unknown>;
}

/** How far a projection is, and who may say so. One document a projection. */
export interface Bookmark {
  readonly _id: string;
  /** Grows with each take-over. */
  readonly epoch: number;
  /** The session of the epoch's projector: its open transaction is ended by whoever takes over. */
  readonly session: unknown;
  /** null before the first copy is whole. */
  readonly position: Position | null;
  /** Which rows to read. */
  readonly generation: number;
  /** The last generation that was begun. */
  readonly begun: number;
  readonly saves: number;
}

export interface ProjectorOptions<T extends Document> {
  readonly client: MongoClient;
  /** What is followed. */
  readonly source: Collection<T>;
  readonly projection: Projection<T>;
  /** Holds the bookmarks. Source, marks and the projection's rows are collections of `client`. */
  readonly marks: Collection<Bookmark>;
  /** Of the projection: its bookmark's `_id`. */
  readonly name: string;
  /** Top-level fields: updates that touch none of them stay on the server. Default: all changes come. */
  readonly touching?: readonly string[];
  /** 'required': changes carry the document as it was before (the collection must keep images). Default 'off'. */
  readonly before?: 'required' | 'off';
  /**
   * The document of an update. 'updateLookup' (default): as it is when the change is read, null when it is gone by then.
   * 'required': as it was right after the change (the collection must keep images).
   */
  readonly document?: 'updateLookup' | 'required';
  /** Milliseconds that the server waits for a change before it answers with none. Default 1000. */
  readonly awaitMs?: number;
  /** Milliseconds after which the position of a stream without changes is saved. Default 10,000. */
  readonly quietMs?: number;
  /** Documents in one transaction of a copy. Default 500. */
  readonly batch?: number;
}

const UNREACHABLE = [
  MongoNetworkError,
  MongoServerSelectionError,
  MongoNotConnectedError,
  MongoTopologyClosedError,
  MongoClientClosedError,
  MongoOperationTimeoutError,
];
const NO_MATCHING_DOCUMENT = 47;
const DUPLICATE_KEY = 11_000;
const INTERRUPTED = 11_601;
const LEAVE_MS = 1000;

/** What every projector needs and is not the idea: one run, its session, its end, its errors. */
export abstract class Runner<T extends Document> implements AsyncDisposable {
  protected readonly options: Required<Omit<ProjectorOptions<T>, 'touching'>> & {
    readonly touching: readonly string[] | undefined;
  };
  protected readonly session: ClientSession;
  #mark: Bookmark | undefined;
  readonly #ended = Promise.withResolvers<void>();
  #stream: ChangeStream<T> | undefined;
  #stopped = false;
  #running = false;
  #savedAt = performance.now();

  /** @throws InvalidArgumentError for a name or number that cannot be used. Nothing is sent. */
  constructor(options: ProjectorOptions<T>) {
    const { name, touching } = options;
    if (typeof name !== 'string' || name === '' || !name.isWellFormed() || name.includes('\0'))
      throw new InvalidArgumentError(`name is ${inspect(name)}: it must be a text that is not empty.`);
    const whole = {
      awaitMs: [options.awaitMs ?? 1000, 1],
      quietMs: [options.quietMs ?? 10_000, 0],
      batch: [options.batch ?? 500, 1],
    } as const;
    for (const [key, [value, least]] of Object.entries(whole)) {
      if (!Number.isSafeInteger(value) || value < least)
        throw new InvalidArgumentError(`${key} is ${inspect(value)}: it must be a whole number from ${least}.`);
    }
    if (!(options.client instanceof MongoClient)) throw new InvalidArgumentError('client is no MongoClient.');
    for (const [key, value] of Object.entries({ source: options.source, marks: options.marks })) {
      if (!(value instanceof Collection)) throw new InvalidArgumentError(`${key} is no collection.`);
    }
    for (const key of ['apply', 'copy', 'sweep'] as const) {
      if (typeof options.projection?.[key] !== 'function')
        throw new InvalidArgumentError(`projection has no function ${key}.`);
    }
    const { before = 'off', document = 'updateLookup' } = options;
    if (!['off', 'required'].includes(before))
      throw new InvalidArgumentError(`before is ${inspect(before)}: it must be 'off' or 'required'.`);
    if (!['updateLookup', 'required'].includes(document))
      throw new InvalidArgumentError(`document is ${inspect(document)}: it must be 'updateLookup' or 'required'.`);
    this.options = {
      ...options,
      before,
      document,
      touching: touching === undefined ? undefined : [...fieldNames(touching)],
      awaitMs: whole.awaitMs[0],
      quietMs: whole.quietMs[0],
      batch: whole.batch[0],
    };
    this.session = options.client.startSession();
  }

  /** As this projector wrote it last. */
  protected get mark(): Bookmark {
    if (this.#mark === undefined) throw new ChangeStreamError('There is no bookmark before takeOver().');
    return this.#mark;
  }

  protected set mark(mark: Bookmark) {
    this.#mark = mark;
  }

  /** From the take-over to the end: copies where there is no position, follows, and copies anew where it must. */
  protected abstract live(): Promise<void>;

  /** The pipeline for the fields of `touching`. */
  protected abstract filter(fields: readonly string[]): Document[];

  /**
   * Takes over and follows until it is closed; then it resolves. Once only: for another run make another projector.
   * @throws FencedError when another has taken over, ServerUnreachableError, StreamRefusedError, ProjectionError,
   *   HistoryTooShortError, ImageMissingError, and the signal's reason
   */
  async run(signal?: AbortSignal): Promise<void> {
    if (this.#running || this.#stopped) throw new InvalidArgumentError('A projector runs once: make another.');
    this.#running = true;
    const stop = () => this.#stop();
    signal?.addEventListener('abort', stop, { once: true });
    try {
      signal?.throwIfAborted();
      await this.live();
      await this.#leave();
      signal?.throwIfAborted();
    } catch (error) {
      if (!isUnreachable(error)) await this.#leave();
      signal?.throwIfAborted();
      if (!this.#stopped || !isDriverError(error)) throw inOurWords(error);
    } finally {
      signal?.removeEventListener('abort', stop);
      this.#stop();
      await this.session.endSession().catch(() => {});
      this.#ended.resolve();
    }
  }

  /** Ends the run; resolves once nothing is written any more. The change at hand is finished first. */
  async close(): Promise<void> {
    this.#stop();
    if (this.#running) await this.#ended.promise;
    else await this.session.endSession();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  protected get stopped(): boolean {
    return this.#stopped;
  }

  #stop(): void {
    this.#stopped = true;
    this.#stream?.close().catch(() => {});
  }

  /** The stream from the bookmark's position on. `tryNext()` answers null when nothing came for `awaitMs`, or when it was closed. */
  protected watch(position: Position | null = this.mark.position): ChangeStream<T> {
    if (position === null) throw new ChangeStreamError('Nothing can be followed before the first copy.');
    const { source, touching, document, before, awaitMs } = this.options;
    const stream = source.watch<T>(touching ? this.filter(touching) : [], {
      ...startingAt(position),
      fullDocument: document,
      ...(before === 'required' && { fullDocumentBeforeChange: before }),
      maxAwaitTimeMS: awaitMs,
    });
    this.#stream = stream;
    this.#savedAt = performance.now();
    return stream;
  }

  /** What the projection does with a change. @throws ProjectionError; what a second try may mend passes, for the transaction */
  protected async apply(change: DocumentChange<T>, tx: Tx): Promise<void> {
    await this.#projected(change.documentKey._id, () =>
      forTheTry(tx, (its) => this.options.projection.apply(change, its)),
    );
  }

  /** What the projection does with documents of a copy. */
  protected async copy(documents: readonly WithId<T>[], tx: Tx): Promise<void> {
    await this.#projected(documents[0]?._id, () =>
      forTheTry(tx, (its) => this.options.projection.copy(documents, its)),
    );
  }

  protected async sweep(generation: number): Promise<void> {
    await this.#projected(undefined, () => this.options.projection.sweep(generation));
  }

  async #projected(key: unknown, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      throw passes(error) ? error : new ProjectionError(key, error);
    }
  }

  /** All of it or nothing. `work` may be tried again, when another was writing the same. */
  protected async transaction(work: (session: ClientSession) => Promise<void>): Promise<void> {
    let attempts = 0;
    const attempt = (session: ClientSession) => {
      attempts += 1;
      if (this.#stopped && attempts > 1) throw new MongoError('The projector is closed, and there was no answer.');
      return work(session);
    };
    const options = {
      readConcern: { level: 'snapshot' },
      writeConcern: { w: 'majority' },
      readPreference: 'primary',
    } as const;
    await this.session.withTransaction(attempt, options).catch((error: unknown) => {
      // A commit whose socket breaks: the driver (7.9) asks the socket's own error for labels, which it has none of.
      if (!(error instanceof TypeError && error.message.includes('hasErrorLabel'))) throw error;
      throw new MongoNetworkError('the connection broke in a commit', { cause: error });
    });
    this.#savedAt = performance.now();
  }

  /** Whether nothing was saved for `quietMs`. */
  protected get quiet(): boolean {
    return performance.now() - this.#savedAt >= this.options.quietMs;
  }

  /** This projector has the word from now on: `mark.epoch` is its own. The predecessor's open transaction is ended. */
  protected async takeOver(): Promise<void> {
    const { marks, name } = this.options;
    const before = (await marks.findOne({ _id: name }))?.session ?? null;
    await this.#end(before);
    // Only from the one whose transaction was ended: who came in between may have left one open, too.
    const claim = marks.findOneAndUpdate(
      { _id: name, session: before },
      {
        $inc: { epoch: 1 },
        $set: { session: this.session.id?.id },
        $setOnInsert: { generation: 0, begun: 0, saves: 0, position: null },
      },
      { upsert: true, returnDocument: 'after' },
    );
    const mark = await claim.catch((error) => (codeOf(error) === DUPLICATE_KEY ? null : Promise.reject(error)));
    if (mark === null) return this.takeOver();
    // Until now he could begin another.
    await this.#end(before);
    if (mark.position !== null && !isPosition(mark.position))
      throw new ChangeStreamError(
        `The bookmark ${JSON.stringify(name)} has no position to follow from (${inspect(mark.position)}): remove it, and all is copied anew.`,
      );
    this.mark = mark;
  }

  /** A killed process leaves its transaction open, for a minute, and with it a lock on the bookmark. */
  async #end(id: unknown): Promise<void> {
    if (id === null) return;
    const killed = this.options.client.db('admin').command({ killSessions: [{ id }] });
    // Who may not do it, or has a server without it, waits for the minute.
    await killed.catch((error) => (error instanceof MongoServerError ? undefined : Promise.reject(error)));
  }

  /** The session goes back to the client's pool, and to work that is nobody's to end. */
  async #leave(): Promise<void> {
    if (this.#mark === undefined) return;
    const { marks, name } = this.options;
    const own = { _id: name, epoch: this.#mark.epoch };
    await marks.updateOne(own, { $set: { session: null } }, { timeoutMS: LEAVE_MS }).catch(() => {});
  }

  /** A number that no copy had yet. @throws FencedError */
  protected async beginGeneration(): Promise<number> {
    const { marks, name } = this.options;
    const { epoch } = this.mark;
    const now = await marks.findOneAndUpdate({ _id: name, epoch }, { $inc: { begun: 1 } }, { returnDocument: 'after' });
    if (now === null) throw new FencedError(name, epoch);
    return now.begun;
  }

  /** The source's documents as they are from now on, in lists of `batch`; fewer when it was closed. */
  protected async *documents(): AsyncGenerator<WithId<T>[]> {
    const { client, source, batch } = this.options;
    // A majority may lag behind what the primary has told. A causal session waits for it: else there would be something
    // that is not yet in the copy and no more in the stream.
    await using session = client.startSession({ causalConsistency: true });
    await positionOfNow(source.db, session);
    await using cursor = source.find({}, { session, readConcern: 'majority', sort: { _id: 1 }, batchSize: batch });
    let list: WithId<T>[] = [];
    for await (const document of cursor) {
      if (this.#stopped) return;
      list.push(document);
      if (list.length < batch) continue;
      yield list;
      list = [];
    }
    if (list.length > 0) yield list;
  }
}

/** Its session goes on with the next try, and the next change: what came then would be kept with that, or by itself. */
async function forTheTry(tx: Tx, work: (its: Tx) => Promise<unknown>): Promise<void> {
  let over = false;
  const get = (of: ClientSession, key: string | symbol) => (over && key === 'hasEnded') || Reflect.get(of, key);
  try {
    await work({ ...tx, session: new Proxy(tx.session, { get }) });
  } finally {
    over = true;
  }
}

export function isDocumentChange<T extends Document>(change: ChangeStreamDocument<T>): change is DocumentChange<T> {
  return ['insert', 'update', 'replace', 'delete'].includes(change.operationType);
}

function codeOf(error: unknown): unknown {
  return error instanceof MongoServerError ? error.code : undefined;
}

function isDriverError(error: unknown): error is Error {
  return error instanceof MongoError || error instanceof BSON.BSONError || isUnreachable(error);
}

/** With a syscall: the socket's own error, which the driver lets through. Opening a file is no such. */
function isUnreachable(error: unknown): error is Error {
  if (!isNativeError(error)) return false;
  const isSocket = 'syscall' in error && (error.syscall === 'read' || error.syscall === 'write');
  return isSocket || UNREACHABLE.some((kind) => error instanceof kind);
}

/** Not the projection's doing: the connection, or a transaction that was ended from outside, and is tried again. */
function passes(error: unknown): boolean {
  if (isUnreachable(error) || codeOf(error) === INTERRUPTED) return true;
  return error instanceof MongoError && error.hasErrorLabel('TransientTransactionError');
}

/** The driver's errors as ours; whatever else as it is. */
function inOurWords(error: unknown): unknown {
  if (isUnreachable(error)) return new ServerUnreachableError(error);
  if (codeOf(error) === NO_MATCHING_DOCUMENT) return new ImageMissingError('a change', { cause: error });
  if (error instanceof MongoServerError) return new StreamRefusedError(error);
  if (isDriverError(error)) return new ChangeStreamError(`The driver refused: ${error.message}`, { cause: error });
  return error;
}
