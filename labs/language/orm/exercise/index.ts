// The words of the subject are given: fields, relations, errors, types, and the parts around what you write. Yours are the
// steps below, in the order of the laws. Each runs, and is wrong as somebody's product was: pitfalls/ says whose. What a
// step may use is imported here. `h` in `pnpm lab learn orm` gives a hint.
import { Compiler as GivenCompiler, NEVER, type Scope } from '../src/compiler.ts';
import { Database as GivenDatabase, type TransactionOptions } from '../src/database.ts';
import type { Issue } from '../src/errors.ts';
import { type Declared, declaredBy, ModelMeta as GivenMeta, keyOf, metaOf } from '../src/meta.ts';
import { Model as GivenModel } from '../src/model.ts';
import { QuerySet as GivenQuerySet, type Query } from '../src/query-set.ts';

export type {
  Changes,
  DatabaseOptions,
  EntityClass,
  FieldOptions,
  ForeignKeyOptions,
  Frame,
  Issue,
  OnDelete,
  Result,
  Row,
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
  MultipleObjectsError,
  NotLoadedError,
  OrmError,
  PoolTimeoutError,
  Q,
  QueryError,
  Ref,
  RepeatedLoadWarning,
  Reverse,
  SerializationError,
  StaleObjectError,
  TransactionError,
  UnknownFieldError,
  ValidationError,
} from '../src/index.ts';

/** What the decorators of an entity wrote down. */
export class ModelMeta extends GivenMeta {
  /** What the entity and all classes that it extends declare, base first; a redeclared name replaces its base's. */
  protected override collect(): ReadonlyMap<string, Declared> {
    return new Map(declaredBy(this.entity.prototype).map((each) => [each.name, each]));
  }
}

/** From conditions to SQL: text from the metadata alone, every value a parameter. */
export class Compiler extends GivenCompiler {
  /** @throws InvalidQueryError where `value` is undefined: `path` says which condition it is. */
  protected override assertDefined(_path: string, _value: unknown): void {}
  /** A text in which `%`, `_` and `\` mean themselves in a LIKE. */
  protected override literal(text: string): string {
    return text;
  }
  /** Makes `value` a parameter and returns its place: `$1`, `$2`, … `this.params` is sent with the statement. */
  protected override bind(value: unknown): string {
    return typeof value === 'string' ? `'${value}'` : String(value);
  }
  /** ` ORDER BY …`, or nothing. `this.walk(scope, path)` finds the column of a path like `author__name`. @throws InvalidQueryError. */
  override order(scope: Scope, names: readonly string[]): string {
    const terms = names.map((name) => `${scope.alias}.${name.replace(/^-/, '')}${name.startsWith('-') ? ' DESC' : ''}`);
    return terms.length > 0 ? ` ORDER BY ${terms.join(', ')}` : '';
  }
  /** The opposite of a condition; also true where the condition is NULL. `ALWAYS` and `NEVER` are each other's. */
  protected override negate(sql: string): string {
    return sql === NEVER ? 'true' : `NOT (${sql})`;
  }
}

/** A lazy, immutable query. */
export class QuerySet<M extends GivenModel> extends GivenQuerySet<M> {
  /** A new set: what this one asked for, with `change`. This one stays as it is. */
  protected override with(change: Partial<Query>): GivenQuerySet<M> {
    return Object.assign(this, { asked: Object.assign({}, this.asked, change) });
  }
  /** Loads what is to be prefetched (`this.asked.prefetched`), one statement a relation for all rows, and returns the rows. */
  protected override async finish(rows: readonly M[]): Promise<readonly M[]> {
    return rows;
  }
  protected override compiler(): Compiler {
    return new Compiler();
  }
}

/** An active record. */
export class Model extends GivenModel {
  /** The condition that the row is this one, still at the version that was loaded, where there is a `version`. */
  protected override sameRow(): Readonly<Record<string, unknown>> {
    const { pk } = metaOf(this);
    return { [pk.name]: keyOf(this) };
  }
  /** All that is wrong with this object: for each column what its `fault(value)` says. A key to be generated may be missing. */
  override validate(): Issue[] {
    return [];
  }
  protected static override readonly querySet = QuerySet;
  protected static override describe(): ModelMeta {
    // biome-ignore lint/complexity/noThisInStatic: the class that extends this one.
    return new ModelMeta(this);
  }
}

/**
 * A pool of connections, and transactions. Of the given: `this.withClient(use)` lends a connection, `this.send(client, sql)`
 * sends on it; `this.frames` knows the transaction around a call (`Frame` in src/database.ts says what it holds);
 * `this.assertOpen(frame)` refuses where that has ended, or a savepoint is open above it (`frame.covered`).
 */
export class Database extends GivenDatabase {
  /**
   * Runs `body` in a transaction: committed when it returns, rolled back when it throws. Inside of another one it is a
   * savepoint: what it rolls back is its own. One at a time: a connection does one thing after the other.
   * @throws what the body throws; SerializationError after the last of `retries`; TransactionError when the COMMIT became
   *   a ROLLBACK, because the body has swallowed the error of a statement.
   */
  override async transaction<T>(body: () => Promise<T>, _options: TransactionOptions = {}): Promise<T> {
    await this.pool.query('BEGIN');
    try {
      const result = await body();
      await this.pool.query('COMMIT');
      return result;
    } catch (error) {
      await this.pool.query('ROLLBACK');
      throw error;
    }
  }
  /** Runs `hook` after the outermost COMMIT, in order; at once where no transaction is open; never after a rollback. */
  override async onCommit(hook: () => unknown): Promise<void> {
    await hook();
  }
}
