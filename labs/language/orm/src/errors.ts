import { DatabaseError } from 'pg';

/** Every error of this ORM: what was wrong, with which value, what to do. */
export abstract class OrmError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** A class that no table can be made from: found when its metadata is first used, before any SQL. */
export class DefinitionError extends OrmError {}

/** A query that has no meaning: an `undefined`, a value of another type, a filter after a slice. Nothing was sent. */
export class InvalidQueryError extends OrmError {}

/** A name that is no field, relation or lookup of the model; the message lists those that are. */
export class UnknownFieldError extends InvalidQueryError {
  constructor(name: string, model: string, choices: Iterable<string>) {
    super(`${model} has no ${JSON.stringify(name)}. Choices: ${[...choices].join(', ')}.`);
  }
}

export interface Issue {
  readonly field: string;
  readonly message: string;
  /** Position in the list given to `bulkCreate`, else undefined. */
  readonly row?: number;
}

/** All that is wrong with an object, at once. Nothing was sent. */
export class ValidationError extends OrmError {
  readonly issues: readonly Issue[];
  constructor(model: string, issues: readonly Issue[]) {
    const said = (row?: number) => (row === undefined ? '' : `row ${row}: `);
    super(
      `${model} is not valid: ${issues.map((each) => `${said(each.row)}${each.field} ${each.message}`).join('; ')}.`,
    );
    this.issues = issues;
  }
}

/** `get()` found no row, or the row of an object is gone. */
export class DoesNotExistError extends OrmError {}

/** `get()` found more than one row: filter by something unique, or ask for `first()`. */
export class MultipleObjectsError extends OrmError {}

/** `ref.value` or `many.items` was read before it was loaded: name it in `selectRelated` or `prefetch`. */
export class NotLoadedError extends OrmError {}

/** Somebody else has saved or deleted the row since this object was loaded: `refresh()` and decide again. */
export class StaleObjectError extends OrmError {}

/** Postgres refused a statement. `code` is its SQLSTATE; parameters aren't in the message, since it ends up in logs. */
export class QueryError extends OrmError {
  readonly code: string;
  readonly sql: string;
  constructor(sql: string, code: string, cause: Error) {
    super(`${cause.message} (SQLSTATE ${code}) in: ${sql.length > 300 ? `${sql.slice(0, 300)}…` : sql}`, { cause });
    this.code = code;
    this.sql = sql;
  }
}

/** A unique or foreign key constraint would be broken, or a row is deleted to which others refer: `constraint` names it. */
export class ConstraintError extends QueryError {
  readonly constraint: string;
  constructor(sql: string, code: string, cause: Error & { readonly constraint?: string | undefined }) {
    super(sql, code, cause);
    this.constraint = cause.constraint ?? '';
  }
}

/** Concurrent transactions got in each other's way (40001, 40P01): run it again, see `retries`. */
export class SerializationError extends QueryError {}

/** No connection became free, or none could be opened, within `waitMs`. */
export class PoolTimeoutError extends OrmError {}

/** The server can't be reached, or the connection broke in the middle of a statement. */
export class ConnectionError extends OrmError {}

/** A statement came after the end of its transaction or beside a savepoint, a COMMIT became a ROLLBACK, or a hook failed. */
export class TransactionError extends OrmError {}

/** The typed error for what the driver threw. */
export function translate(error: unknown, sql: string): Error {
  if (!(error instanceof Error)) return new Error(String(error));
  // A TypeError is about a parameter that can't be sent, such as a cycle: the server hasn't heard of it.
  if (error instanceof OrmError || error instanceof TypeError) return error;
  const code = error instanceof DatabaseError ? error.code : undefined;
  // 08P01 is said of a message that Postgres has understood.
  if (!code || /^(08(?!P01)|57P)/.test(code))
    return new ConnectionError(`${error.message}: is the server up?`, { cause: error });
  if (code === '40001' || code === '40P01') return new SerializationError(sql, code, error);
  if (code.startsWith('23')) return new ConstraintError(sql, code, error);
  return new QueryError(sql, code, error);
}
