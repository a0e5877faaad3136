import { inspect } from 'node:util';
import type { MongoServerError } from 'mongodb';

/** Whatever these reports refuse or are refused. */
export class AggregationError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An argument that no pipeline can be made from. Nothing was sent. */
export class InvalidArgumentError extends AggregationError {}

/** A total that is not a whole number of cents, or not told exactly: `value` is what the server answered. */
export class InexactAmountError extends AggregationError {
  readonly value: unknown;

  constructor(value: unknown) {
    super(`${told(value)} is no whole number of cents that can be told exactly: store amounts as integers.`);
    this.value = value;
  }
}

/** MongoDB answered no. `code` is its error code, `cause` the driver's error. */
export class PipelineRefusedError extends AggregationError {
  readonly code: number;

  constructor(cause: MongoServerError, advice = '') {
    super(`MongoDB refused: ${cause.message} (${cause.code}).${advice}`, { cause });
    this.code = Number(cause.code);
  }
}

/** A stage outgrew its memory (100 MB), or a document its 16 MB. */
export class LimitExceededError extends PipelineRefusedError {
  constructor(cause: MongoServerError) {
    super(cause, ' Match earlier, keep fewer fields, ask for a smaller page, or write to a collection by $merge.');
  }
}

/** There was no connection, or it was lost before the answer. A `$merge` may have been done all the same: repeat it. */
export class ServerUnreachableError extends AggregationError {
  constructor(cause: Error) {
    super(`No answer from MongoDB (${cause.message}): is it up, and is the client open?`, { cause });
  }
}

/** A value as a text, for a message: `String` throws at `{"toString":1}`, `JSON.stringify` at a bigint. */
export function told(value: unknown): string {
  return inspect(value, { depth: 1, breakLength: Number.POSITIVE_INFINITY, maxStringLength: 100, maxArrayLength: 5 });
}
