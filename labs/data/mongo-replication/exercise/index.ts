import {
  BSON,
  type ClientSession,
  type Collection,
  type Document,
  type MongoClient,
  MongoError,
  MongoErrorLabel,
  MongoNetworkError,
  MongoServerError,
  Timestamp,
} from 'mongodb';
import { momentOf } from '../src/causal.ts';
import { UnconfirmedError } from '../src/errors.ts';
import {
  type Account,
  type Attempt,
  CausalTokenError,
  type Chunk,
  compareKeys,
  type Entry,
  evenLayout,
  type Keyed,
  type KeyReport,
  KeyTakenError,
  type KeyValue,
  type Layout,
  MAX,
  MIN,
  mayChange,
  NoAnswerError,
  type OnceOptions,
  placement,
  ReplicationError,
  type ShardKey,
  ShardKeyError,
  type Targeting,
  WriteFailedError,
  type WriteOutcome,
} from '../src/index.ts';
import { characteristics } from '../src/key-report.ts';
import { isDuplicateKey, storedAs } from '../src/once.ts';
import { allowed, EVERYTHING, type KeyRange } from '../src/targeting.ts';
import { endOf, pause, pauseAfter, positiveMs } from '../src/waits.ts';

// What is not the idea is given: errors, options and types, times and pauses (`endOf`, `pause`), BSON's order
// (`compareKeys`), hashes, what a filter says of one field (`allowed`). What is yours says its flaw. `h` in
// `pnpm lab learn mongo-replication` gives a hint. src/outcome.ts, src/once.ts, src/transact-once.ts, src/causal.ts,
// src/failover.ts, src/layout.ts, src/targeting.ts and src/key-report.ts hold solutions.
export {
  type Account,
  type Attempt,
  CausalTokenError,
  type Chunk,
  compareKeys,
  type Entry,
  evenLayout,
  type FailoverOptions,
  hashedValue,
  type Keyed,
  type KeyReport,
  KeyTakenError,
  type KeyValue,
  keyOf,
  type Layout,
  layoutOf,
  longestGap,
  MAX,
  MIN,
  mayBeUnique,
  mayChange,
  measureFailover,
  NoAnswerError,
  type OnceOptions,
  placement,
  ReplicationError,
  readLayout,
  type ShardKey,
  ShardKeyError,
  type Targeting,
  WriteFailedError,
  type WriteOutcome,
} from '../src/index.ts';

/**
 * What an error says of the write of one document, or the transaction, that it ended: `applied` (a primary has it; how many copies
 * there are is not known), `not applied`, or `unknown`. Its flaws: an answer that is lost is no "no"; a primary that
 * misses its copies has written; what the driver itself refused was never sent.
 */
export function writeOutcome(error: unknown): WriteOutcome {
  if (error instanceof UnconfirmedError) return 'applied';
  if (error instanceof MongoError && error.hasErrorLabel(MongoErrorLabel.UnknownTransactionCommitResult))
    return 'unknown';
  if (error instanceof MongoNetworkError) return 'not applied';
  return error instanceof MongoServerError ? 'not applied' : 'unknown';
}

/**
 * Repeats a write until it's known to be done, or refused, or `withinMs` (30,000) are over; `mayChange(error)` says whether
 * another attempt may end otherwise. Throws WriteFailedError(outcome, attempts, cause) with the outcome of all attempts
 * together. Its flaw: it says what became of the last one.
 */
export async function repeatUntilKnown<T>(
  write: (attempt: Attempt) => Promise<T>,
  { withinMs = 30_000, signal }: OnceOptions = {},
): Promise<T> {
  const end = performance.now() + positiveMs('withinMs', withinMs);
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted();
    const left = Math.max(end - performance.now(), 100);
    try {
      return await endOf(write({ timeoutMS: Math.max(Math.ceil(left / 3), 100) }), left, signal);
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof KeyTakenError) throw error;
      const outcome = writeOutcome(error);
      const ms = pauseAfter(attempt);
      if (!mayChange(error) || performance.now() + ms >= end) throw new WriteFailedError(outcome, attempt, error);
      await pause(ms, signal);
    }
  }
}

/**
 * Inserts a document once. Given: the key is checked; `stored` is the document as it was at the call, its `bytes` and its fields (`rest`).
 * `isDuplicateKey(error)` says that something has this `_id` already: this document, by an earlier attempt, or another
 * (KeyTakenError), or no majority has it yet (UnconfirmedError, which is repeated). Its flaw: it takes its own echo for a no.
 */
export async function insertOnce<T extends Keyed>(
  { db, collectionName, bsonOptions }: Collection<T>,
  document: T,
  options?: OnceOptions,
): Promise<'inserted' | 'was there'> {
  const { _id, ...fields } = document;
  if (typeof _id !== 'string' || _id === '' || !_id.isWellFormed()) {
    throw new ReplicationError(`${JSON.stringify(_id)} as _id is no key of a request: use a UUID, for instance.`);
  }
  const stored = storedAs(_id, fields, bsonOptions.ignoreUndefined ?? false);
  const collection = db.collection<Keyed>(collectionName, { readPreference: 'primary' });
  return repeatUntilKnown(async ({ timeoutMS }): Promise<'inserted' | 'was there'> => {
    try {
      await collection.insertOne({ ...stored.rest, _id }, { timeoutMS, writeConcern: { w: 'majority' } });
      return 'inserted';
    } catch (error) {
      if (isDuplicateKey(error)) throw new KeyTakenError(_id);
      throw error;
    }
  }, options);
}

/**
 * Carries out a transaction once, in `withinMs` (30,000). Errors with the label TransientTransactionError say that it was
 * aborted. An error of `body` that is no MongoError is thrown as it is, all others as a WriteFailedError with the outcome.
 * Its flaws: whatever goes wrong, it begins again; and whatever went wrong, it says "not applied", of a commit too.
 */
export async function transactOnce<T>(
  client: MongoClient,
  body: (session: ClientSession) => Promise<T>,
  { withinMs = 30_000, signal }: OnceOptions = {},
): Promise<T> {
  const end = performance.now() + positiveMs('withinMs', withinMs);
  const session = client.startSession();
  try {
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted();
      session.startTransaction({ readConcern: { level: 'snapshot' }, writeConcern: { w: 'majority' } });
      try {
        const value = await endOf(body(session), Math.max(end - performance.now(), 1), signal);
        await endOf(session.commitTransaction(), Math.max(end - performance.now(), 1), signal);
        return value;
      } catch (error) {
        if (session.inTransaction()) await endOf(session.abortTransaction(), 1_000).catch(() => {});
        signal?.throwIfAborted();
        if (!(error instanceof MongoError || error instanceof NoAnswerError)) throw error;
        const again = error instanceof MongoError && error.errorLabels.length > 0;
        const ms = pauseAfter(attempt);
        if (!again || performance.now() + ms >= end) throw new WriteFailedError('not applied', attempt, error);
        await pause(ms, signal);
      }
    }
  } finally {
    await endOf(session.endSession(), 1_000).catch(() => {});
  }
}

/**
 * The moment that this session has seen, as base64url of BSON `{ operationTime, clusterTime }`, both of the session.
 * Throws CausalTokenError as long as it has none. Its flaw: it takes the time from its own clock.
 */
export function causalToken({ operationTime, clusterTime }: ClientSession): string {
  if (operationTime === undefined || clusterTime === undefined) {
    throw new CausalTokenError('Nothing was done in this session yet, or with a server that keeps no cluster time.');
  }
  const now = new Timestamp({ t: Math.floor(Date.now() / 1_000), i: 1 });
  return Buffer.from(
    BSON.serialize({ operationTime: now, clusterTime: { ...clusterTime, clusterTime: now } }),
  ).toString('base64url');
}

/**
 * A session that reads nothing older than what the tokens' sessions have seen. `momentOf(token)` gives the two times, or
 * throws CausalTokenError; so do you when the driver refuses them. Its flaw: it lets them pass.
 */
export function resumeCausal(client: MongoClient, ...tokens: readonly string[]): ClientSession {
  for (const token of tokens) momentOf(token);
  return client.startSession({ causalConsistency: true });
}

/**
 * The client's book beside what is found. `lost`: acknowledged, and gone. `ghosts`: said to be not applied, and there.
 * `open`: without a promise, there or gone. An entry's `outcome` is 'acknowledged', or a WriteOutcome.
 * Its flaw: whatever was written down counts as promised.
 */
export function account(entries: Iterable<Entry>, survivors: Iterable<string>): Account {
  const there = new Set(survivors);
  const all = [...entries];
  const lost = all.filter(({ id }) => !there.has(id)).map(({ id }) => id);
  return { acknowledged: all.length, lost, ghosts: [], open: { there: 0, gone: 0 } };
}

/**
 * The chunk that a key is in, of chunks in order that cover all keys; ShardKeyError if there are none.
 * Its flaw: a chunk's `max` is the next one's `min`.
 */
export function chunkFor(key: readonly KeyValue[], chunks: readonly Chunk[]): Chunk {
  const found = chunks.find(({ max }) => compareKeys(key, max) <= 0);
  if (found === undefined) throw new ShardKeyError('There are no chunks: a sharded collection has one at least.');
  return found;
}

/**
 * The ranges of keys that a filter can mean, for a key of one field or several. `allowed(key[i], filter)` says what it
 * allows the field: `{ points }` (hashes, for a hashed field), or `{ from, to }`, each `{ value, inside }`; EVERYTHING where
 * it says nothing that helps. MIN is before all values and MAX after them. By the key (customer, number), the filter
 * `{ customer: 'a', number: { $lt: 5 } }` is one range: from `['a', MIN]` to `{ key: ['a', 5], inside: false }`. A `from`
 * is always inside. Its flaw: all keys, always.
 */
function keyRanges(key: ShardKey, _filter: Document): KeyRange[] {
  return [{ from: key.map(() => MIN), to: { key: key.map(() => MAX), inside: true } }];
}

/** The shards that a query is sent to. Given, but for `keyRanges`. */
export function shardsFor({ key, chunks }: Layout, filter: Document): Targeting {
  const ranges = keyRanges(key, filter);
  const isBelow = (min: readonly KeyValue[], { key: end, inside }: KeyRange['to']) =>
    compareKeys(min, end) < Number(inside);
  const last = chunks.at(-1);
  const hit = (chunk: Chunk) =>
    ranges.some(({ from, to }) => (chunk === last || compareKeys(from, chunk.max) < 0) && isBelow(chunk.min, to));
  const shards = new Set(chunks.filter(hit).map(({ shard }) => shard));
  const [first] = key;
  return { shards: [...shards].sort(), targeted: first !== undefined && allowed(first, filter) !== EVERYTHING };
}

/**
 * What a key would do, by documents, oldest first. `characteristics` gives the rest; `busiest` is the share (0 to 1) of the
 * shard that gets most, `idle` counts those that get nothing. `evenLayout` makes even chunks over documents, `placement`
 * counts documents by shard. Its flaw: the chunks are judged by the documents that they were made of.
 */
export function keyReport(key: ShardKey, documents: readonly Document[], shards: number): KeyReport {
  if (documents.length < 2 || !Number.isSafeInteger(shards) || shards < 1) {
    throw new ShardKeyError(
      `${documents.length} documents on ${shards} shards tell nothing: two, and one, are the least.`,
    );
  }
  const names = Array.from({ length: shards }, (_, i) => `shard ${i + 1}`);
  const counts = [...placement(evenLayout(key, documents, names), documents, names).values()];
  const busiest = Math.max(...counts) / documents.length;
  return { ...characteristics(key, documents), busiest, idle: counts.filter((count) => count === 0).length };
}
