import { GraphQLError, type OperationDefinitionNode, type ValidationContext, type ValidationRule } from 'graphql';
import {
  type Batch,
  type CostLimitOptions,
  InvalidArgumentError,
  type Key,
  type LoaderOptions,
  type Loaders,
  type MaskOptions,
  type Measure,
  PublicError,
  type QueryRequest,
  type RowsByKey,
} from '../src/index.ts';
import { makeAll } from '../src/loader.ts';
import { limit } from '../src/query.ts';

// Yours are the loader, what brings rows to their keys, the measure of a query, and the mask. Given, in src/: the errors (an
// editor shows what their constructors take), src/query.ts (a query beside its schema) and src/yoga.ts (what a server does with
// your rules). The re-exports below bring no name into this file: import what you need from '../src/index.ts'. `h` in
// `pnpm lab learn graphql` gives a hint.
export {
  type Batch,
  BatchError,
  type CostLimitOptions,
  type FieldInQuery,
  groupByKey,
  hashOf,
  type Incident,
  InvalidArgumentError,
  type Key,
  type LimitCode,
  LimitExceededError,
  type LimitsOptions,
  type LoaderOptions,
  type Loaders,
  type MaskOptions,
  type Measure,
  PublicError,
  type PublicErrorOptions,
  type QueryRequest,
  type RowsByKey,
  useDeadline,
  useLimits,
  usePersisted,
} from '../src/index.ts';

/** Collects what many ask for one by one, and asks for it once. It remembers each answer. */
export class Loader<K extends Key, Value> {
  protected readonly batch: Batch<K, Value>;
  protected readonly options: LoaderOptions;

  /**
   * `batch` answers all keys at once: as many answers as keys, in their order; an Error among them is the answer to its own key
   * alone. Hardening laws: `maxBatch` (1000) and `signal`.
   */
  constructor(batch: Batch<K, Value>, options: LoaderOptions = {}) {
    this.batch = batch;
    this.options = options;
  }

  /**
   * The answer to `key`; rejects with the Error that is it, or with what `batch` threw. Nothing is asked for before the caller
   * is done. Hardening law: other than one answer for each key is a BatchError for all of them.
   */
  load(_key: K): Promise<Value> {
    return todo('load');
  }

  /**
   * Calls `dispatch` when every promise that is settled by now, and what follows from it, has had its turn. Yours; for the first
   * laws what is here is enough.
   */
  protected schedule(dispatch: () => void): void {
    queueMicrotask(dispatch);
  }
}

/**
 * A batch function made of a query: `fetch` gives rows in any order, and none for what is not there; `keyOf` is a row's key;
 * `read` makes the answer of a row, and what it throws is the answer to that key alone. What is not there is null. Hardening
 * laws: `isKey`; two rows of one key; a row of a key that nobody asked for; a `fetch` that returns no array.
 */
export function batchByKey<K extends Key, Row, Value>(_rows: RowsByKey<K, Row, Value>): Batch<K, Value | null> {
  return () => todo('batchByKey');
}

/**
 * Loaders that live as long as the request whose context object they hang on: `of(context)` are those of this request, made when
 * it first asks; `clear(context)` forgets them. Given is one that remembers nothing: `makeAll` makes all of them.
 */
export function createLoaders<
  Context extends object,
  M extends Readonly<Record<string, (context: Context) => unknown>>,
>(makers: M & Readonly<Record<string, (context: Context) => unknown>>): Loaders<Context, M> {
  return { of: (context) => makeAll<Context, M>(makers, context), clear: () => {} };
}

/**
 * Measures an operation from its leaves up: `field` is told what lies below a field (0 below a leaf), `join` brings together what
 * lies beside each other, beginning with 0. A fragment, named or inline, is what its text would be. One that lies inside of
 * itself is Infinity. Selections are FIELD, INLINE_FRAGMENT or FRAGMENT_SPREAD (graphql's `Kind`). Given:
 * - `context.getFragment(name)`: a fragment's definition, undefined when there is none, which measures 0;
 * - `fieldIn(context, parent, node)` of ../src/query.ts: a field as `field` takes it; its `type` is the parent of what lies below
 *   (a `Parent`, of the same file);
 * - `context.getSchema()`: `getRootType(operation.operation)` is the parent of the operation's own selections, and
 *   `getType(node.typeCondition.name.value)` that of a fragment's. An inline one without a `typeCondition` has the outer parent.
 *
 * Hardening law: more than 500 selections inside of each other, spreads included, are Infinity too.
 */
export function measure(_context: ValidationContext, _operation: OperationDefinitionNode, _how: Measure): number {
  return todoNow('measure');
}

/**
 * Refuses operations that are more than `max` levels deep. Given: `limit` of ../src/query.ts. It calls its last argument with
 * `(context, operation)`, takes what comes back for the operation's size, and reports what is more than `max`. Hardening law: a field
 * with `isIntrospection` is 1 level, whatever lies below.
 */
export function depthLimit(max: number): ValidationRule {
  return limit('DEPTH_LIMIT', max, () => 0);
}

/**
 * Refuses operations with more than `max` aliases (`field.node.alias`). Among the core laws it is asked together with the two other
 * limits.
 */
export function aliasLimit(max: number): ValidationRule {
  return limit('ALIAS_LIMIT', max, () => 0);
}

/**
 * Refuses operations that may have to resolve more than `max` fields: each is 1, and what lies below it counts as often as it has
 * objects. Given, in ../src/query.ts: `argumentsIn(context, operation, options)` knows the variables, and
 * `sizeOf(field, argumentsOf, options)` is how many objects a field has at most. Hardening laws: 1 more for each 100 characters of
 * an alias; `listSize` is a count (`refuseUnlessCount`).
 */
export function costLimit(max: number, _options: CostLimitOptions = {}): ValidationRule {
  return limit('COST_LIMIT', max, () => 0);
}

/**
 * Returns what a client is told of an error that was thrown. What graphql wraps has `originalError`, possibly several times: the
 * innermost is what was thrown.
 * - Thrown was a PublicError: the GraphQLError as it came.
 * - It is a GraphQLError all the way in, and the outermost has no `path`: it is about the query, and passes as it came.
 * - All else: tell `onIncident` `{ id, error, path }`: a new id (`randomUUID` of node:crypto), what was thrown, the path. Return
 *   a new GraphQLError with a text of yours, that `path`, and `extensions: { code: 'INTERNAL', id }`. Without a path add
 *   `http: { status: 500 }`.
 *
 * Hardening law: an `onIncident` that throws or rejects is a process warning, and changes nothing.
 */
export function maskErrors(_options: MaskOptions): (error: unknown) => GraphQLError {
  return (error) => new GraphQLError(error instanceof Error ? error.message : String(error));
}

/**
 * Hardening law: finds the text on the list, by the hash in `extensions.persistedQuery.sha256Hash` or by the text itself.
 * A list that is one text is refused.
 */
export function persisted(texts: Iterable<string>): (request: QueryRequest) => string {
  if (typeof texts === 'string') throw new InvalidArgumentError('The list is one text: give a list of texts.');
  return () => {
    throw new PublicError('persisted is not written yet.', { code: 'TODO' });
  };
}

async function todo(name: string): Promise<never> {
  return todoNow(name);
}

function todoNow(name: string): never {
  throw new Error(`${name} is not written yet: its comment in attempt/index.ts is the task.`);
}
