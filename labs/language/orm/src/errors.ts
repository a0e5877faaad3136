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
  /** Position in the list given to `bulkCreate`, where it had several. */
  readonly row?: number;
}

/** All that is wrong with an object, at once. Nothing was sent. */
export class ValidationError extends OrmError {
  readonly issues: readonly Issue[];
  constructor(model: string, issues: readonly Issue[]) {
    const said = ({ row, field, message }: Issue) => `${row === undefined ? '' : `row ${row}: `}${field} ${message}`;
    super(`${model} is not valid: ${issues.map(said).join('; ')}.`);
    this.issues = issues;
  }
}

/** `get()` found no row, or the row of an object is gone, or a trigger kept it out. */
export class DoesNotExistError extends OrmError {}

/** `get()` found more than one row: filter by something unique, or ask for `first()`. */
export class MultipleObjectsError extends OrmError {}

/** A reference's `value`, or a relation to many, was read before it was loaded: name it in `selectRelated` or `prefetch`. */
export class NotLoadedError extends OrmError {}

/** Somebody else has saved or deleted the row since this object was loaded: `refresh()` and decide again. */
export class StaleObjectError extends OrmError {}

/** Postgres refused a statement. `code` is its SQLSTATE. Of the parameters the message has what Postgres quotes, no more. */
export class QueryError extends OrmError {
  readonly code: string;
  constructor(sql: string, code: string, cause: Error) {
    super(`${cause.message} (SQLSTATE ${code}) in: ${sql.length > 300 ? `${sql.slice(0, 300)}…` : sql}`, { cause });
    this.code = code;
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

/** N+1, caught in the act: one relation, loaded one by one on objects that came from one query. */
export class RepeatedLoadWarning extends OrmError {}
