import { BSON, type Collection, type Document, MongoServerError } from 'mongodb';
import { KeyTakenError, ReplicationError, UnconfirmedError, WriteFailedError } from './errors.ts';
import { mayChange, type WriteOutcome, writeOutcome } from './outcome.ts';
import { endOf, pause, pauseAfter, positiveMs } from './waits.ts';

export interface OnceOptions {
  /** Milliseconds for all attempts together. Default 30,000: an election takes 12 s or so with MongoDB's defaults. */
  readonly withinMs?: number;
  /** Who aborts gets his own reason; what was sent may be carried out all the same. */
  readonly signal?: AbortSignal;
}

/** What an attempt hands to the driver: its share of the time that is left. */
export interface Attempt {
  readonly timeoutMS: number;
}

/** An attempt that hangs, since packets are lost, leaves time for others. */
const SHARE = 1 / 3;
const LEAST_MS = 100;

/**
 * Repeats a write until it's known to be done, or known to be refused, or time is up. **The write must be harmless to
 * repeat**: under a key of its own, as in `insertOnce`, or with a condition that its own effect makes false.
 * @param write gives its `timeoutMS` to the driver
 * @throws WriteFailedError, whose `outcome` is of all attempts together; the signal's reason; RangeError
 */
export async function repeatUntilKnown<T>(
  write: (attempt: Attempt) => Promise<T>,
  { withinMs = 30_000, signal }: OnceOptions = {},
): Promise<T> {
  const end = performance.now() + positiveMs('withinMs', withinMs);
  let known: WriteOutcome = 'not applied';
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted();
    const left = Math.max(end - performance.now(), LEAST_MS);
    try {
      return await endOf(write({ timeoutMS: Math.max(Math.ceil(left * SHARE), LEAST_MS) }), left, signal);
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof KeyTakenError) throw error;
      // What one attempt did, or may have done, isn't undone by a later one.
      const outcome = writeOutcome(error);
      if (outcome === 'applied' || known === 'not applied') known = outcome;
      const ms = pauseAfter(attempt);
      if (!mayChange(error) || performance.now() + ms >= end) throw new WriteFailedError(known, attempt, error);
      await pause(ms, signal);
    }
  }
}

/** A document with the key of its request. */
export type Keyed = Document & { readonly _id: string };

/**
 * Inserts a document once, however often that takes: `_id` is the request's key, made by who wants it done, before the
 * first attempt. Both answers are a majority's. A document that was changed since counts as another one. An empty
 * Timestamp in it is filled in by the server: give it a value.
 * @throws KeyTakenError where another document has the key, WriteFailedError, ReplicationError for a key that is none or
 *   a document that BSON can't hold, the signal's reason
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
  // As it is now, whatever the caller does with it later; numbers and patterns keep their kinds.
  const stored = storedAs(_id, fields, bsonOptions.ignoreUndefined ?? false);
  const collection = db.collection<Keyed>(collectionName, { readPreference: 'primary' });
  return repeatUntilKnown(async ({ timeoutMS }) => {
    try {
      await collection.insertOne({ ...stored.rest, _id }, { timeoutMS, writeConcern: { w: 'majority' } });
      return 'inserted';
    } catch (error) {
      if (!isDuplicateKey(error)) throw error;
      const majority = { timeoutMS, readConcern: { level: 'majority' }, raw: true } as const;
      const found: unknown = await collection.findOne({ _id }, majority);
      if (!(found instanceof Uint8Array)) throw new UnconfirmedError('No majority has it yet.', { cause: error });
      if (Buffer.compare(found, stored.bytes) !== 0) throw new KeyTakenError(_id);
      return 'was there';
    }
  }, options);
}

/** A document's fields as BSON gives them back, and the bytes of it all. @throws ReplicationError */
export function storedAs(
  _id: string,
  fields: Document,
  ignoreUndefined: boolean,
): { rest: Document; bytes: Uint8Array } {
  try {
    const given = BSON.serialize(fields, { ignoreUndefined });
    const rest = BSON.deserialize(given, { promoteValues: false, bsonRegExp: true });
    return { rest, bytes: BSON.serialize({ _id, ...rest }) };
  } catch (cause) {
    throw new ReplicationError("The document can't be written as BSON.", { cause });
  }
}

/** Of `_id`: a document that another unique index refuses is refused. */
export function isDuplicateKey(error: unknown): boolean {
  return error instanceof MongoServerError && error.code === 11_000 && '_id' in Object(error['keyPattern']);
}
