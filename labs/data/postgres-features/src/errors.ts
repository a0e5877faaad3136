import type { DatabaseError } from 'pg';

/** Whatever these features refuse or report. */
export class FeatureError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An argument that no question and no card can be made from. Nothing was sent. */
export class InvalidArgumentError extends FeatureError {}

/** A value that jsonb could not keep, or would give back as another. `path` says where it is. Nothing was sent. */
export class UnstorableJsonError extends FeatureError {
  readonly path: string;

  constructor(path: string, why: string) {
    super(`${path} ${why}`);
    this.path = path;
  }
}

/** There is no such card, or nothing at the parent of the path that could hold a field. Nothing was changed. */
export class MissingFieldError extends FeatureError {}

/** Some texts were cut into words by another segmenter than the one that cuts the query: run `reindex()`. */
export class StaleSegmentsError extends FeatureError {
  /** The version that is stored with such texts. */
  readonly found: string;
  /** The version that asks. */
  readonly expected: string;

  constructor(found: string, expected: string) {
    super(
      `There are texts cut into words by "${found}", and the query is cut by "${expected}": words may not meet. Run reindex().`,
    );
    this.found = found;
    this.expected = expected;
  }
}

/** Postgres answered no; nothing was done. `sqlstate` is its code, `cause` the driver's error. */
export class QueryRefusedError extends FeatureError {
  readonly sqlstate: string;

  constructor(cause: DatabaseError) {
    super(`Postgres refused: ${cause.message} (${cause.code}).`, { cause });
    this.sqlstate = cause.code ?? '';
  }
}

/** There was no connection, or it was lost before the answer. */
export class DisconnectedError extends FeatureError {
  /** Whether what was asked may have been done all the same. */
  readonly done: 'no' | 'unknown';

  constructor(done: 'no' | 'unknown', cause: unknown) {
    const what =
      done === 'no'
        ? 'There is no connection to Postgres: is it up, and is the pool open, with one to spare?'
        : 'The connection to Postgres was lost before its answer: what was asked may have been done.';
    super(what, { cause });
    this.done = done;
  }
}
