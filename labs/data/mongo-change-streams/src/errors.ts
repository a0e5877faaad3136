import { inspect } from 'node:util';
import type { MongoServerError } from 'mongodb';

/** Whatever a follower of a change stream refuses or is refused. */
export class ChangeStreamError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An argument that nothing can be followed with. Nothing was sent. */
export class InvalidArgumentError extends ChangeStreamError {}

/** Another projector has taken over. What this one was writing is not written; it must stop. */
export class FencedError extends ChangeStreamError {
  readonly epoch: number;

  constructor(name: string, epoch: number) {
    super(`The projection ${JSON.stringify(name)} was taken over from epoch ${epoch}: this one must stop.`);
    this.epoch = epoch;
  }
}

/** The history was gone once more, right after a copy: the server forgets faster than the source is copied. */
export class HistoryTooShortError extends ChangeStreamError {
  constructor(cause: Error) {
    super('The history was gone before the copy was done: give the oplog more room (replSetResizeOplog).', { cause });
  }
}

/** An audit needs the document as it was before, and the server has not kept it. */
export class ImageMissingError extends ChangeStreamError {
  constructor(key: unknown, options?: ErrorOptions) {
    super(
      `There is no image from before the change of ${inspect(key)}: collMod the collection with changeStreamPreAndPostImages: { enabled: true }, and mind expireAfterSeconds.`,
      options,
    );
  }
}

/** The projection threw for a change, or MongoDB refused what it wrote. Nothing of it is written; the next run begins with that change. */
export class ProjectionError extends ChangeStreamError {
  readonly key: unknown;

  constructor(key: unknown, cause: unknown) {
    super(
      `The projection threw for ${inspect(key)}: ${cause instanceof Error ? cause.message : inspect(cause, { depth: 0 })}`,
      { cause },
    );
    this.key = key;
  }
}

/** MongoDB answered no. `code` is its error code, `cause` the driver's error. */
export class StreamRefusedError extends ChangeStreamError {
  readonly code: number;

  constructor(cause: MongoServerError) {
    super(`MongoDB refused: ${cause.message} (${cause.code}).`, { cause });
    this.code = Number(cause.code);
  }
}

/** There was no connection, or it was lost for longer than the driver tries. Run again: it goes on where it was. */
export class ServerUnreachableError extends ChangeStreamError {
  constructor(cause: Error) {
    super(`No answer from MongoDB (${cause.message}): is it up, and is the client open?`, { cause });
  }
}
