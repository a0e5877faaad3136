// The words of the subject are given: fields, relations, errors, types, the schema, and the parts around what you write.
// Yours are the steps below, in the order in which the laws ask for them; each is 3 to 30 lines. What a step may use is
// imported here. `h` in `pnpm lab learn orm` gives a hint.
import { type Condition, Compiler as GivenCompiler } from '../src/compiler.ts';
import { Database as GivenDatabase, type TransactionOptions } from '../src/database.ts';
import type { Issue } from '../src/errors.ts';
import { type Column, ModelMeta as GivenMeta } from '../src/meta.ts';
import { Model as GivenModel } from '../src/model.ts';
import { QuerySet as GivenQuerySet, type Query } from '../src/query-set.ts';

export type {
  Changes,
  DatabaseOptions,
  EntityClass,
  FieldOptions,
  ForeignKeyOptions,
  Issue,
  OnDelete,
  RepeatedLoad,
  Result,
  Statement,
  TransactionOptions,
  Values,
  Where,
} from '../src/index.ts';
export {
  Column,
  ConnectionError,
  ConstraintError,
  createTableSql,
  createTables,
  DefinitionError,
  DoesNotExistError,
  Entity,
  F,
  Field,
  ForeignKey,
  InvalidQueryError,
  Many,
  MultipleObjectsError,
  NotLoadedError,
  OrmError,
  PoolTimeoutError,
  Q,
  QueryError,
  Ref,
  Reverse,
  SerializationError,
  StaleObjectError,
  TransactionError,
  UnknownFieldError,
  ValidationError,
} from '../src/index.ts';

/** What the decorators of an entity wrote down. */
export class ModelMeta extends GivenMeta {
  /**
   * The columns of the entity and of all classes that it extends, base first; a redeclared one replaces its base's.
   *
   * `columnsOf(target)` of src/meta.ts gives what was written down on one prototype.
   */
  protected override collect(): ReadonlyMap<string, Column> {
    return todo('ModelMeta.collect');
  }
}

/** From conditions to SQL: text from the metadata alone, every value a parameter. */
export class Compiler extends GivenCompiler {
  /** Makes `value` a parameter and returns its place: `$1`, `$2`, … `this.params` is sent with the statement. */
  protected override bind(_value: unknown): string {
    return todo('Compiler.bind');
  }
  /** @throws InvalidQueryError where `value` is undefined: `path` says which condition it is. */
  protected override assertDefined(_path: string, _value: unknown): void {
    todo('Compiler.assertDefined');
  }
  /** A text in which `%`, `_` and `\` mean themselves in a LIKE. */
  protected override literal(_text: string): string {
    return todo('Compiler.literal');
  }
  /** The opposite of a condition; also true where the condition is NULL. `ALWAYS` and `NEVER` are each other's. */
  protected override negate(_sql: string): string {
    return todo('Compiler.negate');
  }
}

/** A lazy, immutable query. */
export class QuerySet<M extends GivenModel> extends GivenQuerySet<M> {
  /** A new set: what this one asked for, with `change`. This one stays as it is. */
  protected override with(_change: Partial<Query>): GivenQuerySet<M> {
    return todo('QuerySet.with');
  }
  /** The condition of `exclude`: not all of `conditions` hold. See `Q`. */
  protected override negated(_conditions: readonly Condition[]): Condition {
    return todo('QuerySet.negated');
  }
  /** @throws InvalidQueryError unless the conditions leave a row out (`exclude` of an empty list doesn't), or `everything` was said. A slice is never changed. */
  protected override assertNarrowed(_what: string, _options: { readonly everything?: boolean }): void {
    todo('QuerySet.assertNarrowed');
  }
  /** Loads what is to be prefetched (`this.asked.prefetched`), one statement a relation for all rows, and returns the rows. */
  protected override finish(_rows: readonly M[]): Promise<readonly M[]> {
    return todo('QuerySet.finish');
  }
  protected override compiler(): Compiler {
    return new Compiler();
  }
}

/** An active record. */
export class Model extends GivenModel {
  /** All that is wrong with this object: for each column what its `fault(value)` says. A key to be generated may be missing. */
  override validate(): Issue[] {
    return todo('Model.validate');
  }
  protected static override readonly querySet = QuerySet;
  protected static override describe(): ModelMeta {
    // biome-ignore lint/complexity/noThisInStatic: the class that extends this one.
    return new ModelMeta(this);
  }
}

/**
 * A pool of connections, and transactions. Of the given: `this.withClient(use)` lends a connection, `this.send(client, sql)`
 * sends on it, `this.frames` knows the transaction around a call (`Frame` in src/database.ts says what it holds), `this.assertOpen(frame)`
 * refuses where it has ended, or a savepoint is open above it (`frame.covered`).
 */
export class Database extends GivenDatabase {
  /**
   * Runs `body` in a transaction: committed when it returns, rolled back when it throws. Inside of another one it is a
   * savepoint: what it rolls back is its own. One at a time: a connection does one thing after the other.
   *
   * @throws what the body throws; SerializationError after the last of `retries`; TransactionError when Postgres made
   *   a ROLLBACK of the COMMIT, because the body has swallowed the error of a statement.
   */
  override async transaction<T>(_body: () => Promise<T>, _options: TransactionOptions = {}): Promise<T> {
    return todo('Database.transaction');
  }
  /** Runs `hook` once the outermost transaction has been committed, in order; at once where none is open; never after a rollback. @throws TransactionError where it has ended. */
  override async onCommit(_hook: () => unknown): Promise<void> {
    return todo('Database.onCommit');
  }
}

function todo(step: string): never {
  throw new Error(`${step} is not written yet: its comment in attempt/index.ts is the task.`);
}
