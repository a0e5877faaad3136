import { inspect } from 'node:util';
import { BatchError, InvalidArgumentError } from './errors.ts';

export type Key = string | number | bigint;

/** Answers all keys at once: as many answers as keys, in their order. An Error is the answer to its own key alone. */
export type Batch<K extends Key, Value> = (keys: readonly K[]) => Promise<readonly (Value | Error)[]>;

export interface LoaderOptions {
  /** Most keys of one batch. Default 1000. */
  readonly maxBatch?: number;
  /** Aborted: what is not sent yet rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
}

interface Waiting<K, Value> {
  readonly key: K;
  readonly resolve: (value: Value) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Collects what many ask for one by one, and asks for it once: Facebook's DataLoader (https://github.com/graphql/dataloader).
 * It remembers each answer, errors too, so it belongs to one request: see `createLoaders`. Keys are compared as a Map does.
 */
export class Loader<K extends Key, Value> {
  readonly #batch: Batch<K, Value>;
  readonly #maxBatch: number;
  readonly #signal: AbortSignal | undefined;
  readonly #asked = new Map<K, Promise<Value>>();
  #waiting: Waiting<K, Value>[] = [];

  /** @throws InvalidArgumentError */
  constructor(batch: Batch<K, Value>, { maxBatch = 1000, signal }: LoaderOptions = {}) {
    if (!(Number.isSafeInteger(maxBatch) && maxBatch > 0)) {
      throw new InvalidArgumentError(`maxBatch is ${inspect(maxBatch)}: give a whole number above 0.`);
    }
    this.#batch = batch;
    this.#maxBatch = maxBatch;
    this.#signal = signal;
  }

  /** Rejects with the Error that was the answer, what the batch function threw, a BatchError, or the signal's reason. */
  load(key: K): Promise<Value> {
    const asked = this.#asked.get(key);
    if (asked) return asked;
    const { promise, resolve, reject } = Promise.withResolvers<Value>();
    this.#asked.set(key, promise);
    if (this.#waiting.push({ key, resolve, reject }) === 1) this.schedule(() => this.#dispatch());
    return promise;
  }

  /**
   * Calls `dispatch` when every promise that is settled by now, and what follows from it, has had its turn: the resolvers of
   * one level run in one go, but not in one microtask.
   */
  protected schedule(dispatch: () => void): void {
    void Promise.resolve().then(() => process.nextTick(dispatch));
  }

  #dispatch(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (let from = 0; from < waiting.length; from += this.#maxBatch) {
      void this.#ask(waiting.slice(from, from + this.#maxBatch));
    }
  }

  async #ask(waiting: readonly Waiting<K, Value>[]): Promise<void> {
    try {
      this.#signal?.throwIfAborted();
      const values = await this.#batch(waiting.map(({ key }) => key));
      if (!Array.isArray(values) || values.length !== waiting.length) {
        const got = Array.isArray(values) ? `${values.length} answers` : inspect(values, { depth: 0 });
        throw new BatchError(
          `${waiting.length} keys, and the batch function returned ${got}: return one answer for each key.`,
        );
      }
      for (const [place, { resolve, reject }] of waiting.entries()) {
        const value: Value | Error = values[place];
        if (value instanceof Error) reject(value);
        else resolve(value);
      }
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    }
  }
}

export interface RowsByKey<K extends Key, Row, Value> {
  /** Rows in any order, none for what is not there. */
  readonly fetch: (keys: readonly K[]) => Promise<readonly Row[]>;
  readonly keyOf: (row: Row) => K;
  /** Makes the answer of a row. What it throws is the answer to that key alone. */
  readonly read: (row: Row) => Value;
  /** A key that isn't one is not there, and not asked for: the database would refuse all others with it. Default: all are. */
  readonly isKey?: (key: K) => boolean;
}

/**
 * Brings rows to their keys: the answers lie in the order of the keys, whatever the order of the rows, and null in the place of
 * what is not there.
 */
export function batchByKey<K extends Key, Row, Value>(rows: RowsByKey<K, Row, Value>): Batch<K, Value | null> {
  return async (keys) => {
    const found = await byKey(keys, rows);
    return keys.map((key) => {
      const [value = null, second] = found.get(key) ?? [];
      return second === undefined ? value : new BatchError(`Two rows have the key ${inspect(key)}: use groupByKey.`);
    });
  };
}

/** As `batchByKey`, for any number of rows to each key, in the order of `fetch`; none is an empty array. */
export function groupByKey<K extends Key, Row, Value>(rows: RowsByKey<K, Row, Value>): Batch<K, readonly Value[]> {
  return async (keys) => {
    const found = await byKey(keys, rows);
    return keys.map((key) => {
      const values: Value[] = [];
      for (const value of found.get(key) ?? []) {
        if (value instanceof Error) return value;
        values.push(value);
      }
      return values;
    });
  };
}

async function byKey<K extends Key, Row, Value>(
  keys: readonly K[],
  { fetch, keyOf, read, isKey = () => true }: RowsByKey<K, Row, Value>,
): Promise<Map<K, (Value | Error)[]>> {
  const found = new Map<K, (Value | Error)[]>(keys.filter(isKey).map((key) => [key, []]));
  if (found.size === 0) return found;
  const all = await fetch([...found.keys()]);
  if (!Array.isArray(all))
    throw new BatchError(`fetch returned ${inspect(all, { depth: 0 })}: return an array of rows.`);
  for (const row of all) {
    const key = keyOf(row);
    const values = found.get(key);
    // A bigint column that comes as text would otherwise be nowhere, without a word.
    if (!values)
      throw new BatchError(`A row has the key ${inspect(key)}, which nobody asked for: is it of another type?`);
    values.push(outcomeOf(() => read(row)));
  }
  return found;
}

function outcomeOf<Value>(read: () => Value): Value | Error {
  try {
    return read();
  } catch (error) {
    return error instanceof Error ? error : new BatchError(`A row could not be read: ${inspect(error)}`);
  }
}

type Makers<Context> = Readonly<Record<string, (context: Context) => unknown>>;
type Made<M extends Makers<never>> = { readonly [Name in keyof M]: ReturnType<M[Name]> };

export interface Loaders<Context extends object, M extends Makers<Context>> {
  /** Those of this request, made when it first asks. */
  of(context: Context): Made<M>;
  /** Forgets what this request has read: after each mutation, one that failed as well, and at each event of a subscription. */
  clear(context: Context): void;
}

/**
 * Loaders that live as long as the request whose context object they hang on: what one user may read is never the answer to
 * another, and nothing is older than its request.
 */
export function createLoaders<Context extends object, M extends Makers<Context>>(
  makers: M & Makers<Context>,
): Loaders<Context, M> {
  const all = new WeakMap<Context, Made<M>>();
  return {
    of(context) {
      const made = all.get(context) ?? makeAll<Context, M>(makers, context);
      all.set(context, made);
      return made;
    },
    clear: (context) => void all.delete(context),
  };
}

/** Asked for by one context, each anew. */
export function makeAll<Context, M extends Makers<Context>>(makers: M, context: Context): Made<M> {
  return Object.fromEntries(Object.entries(makers).map(([name, make]) => [name, make(context)])) as Made<M>;
}
