import { inspect } from 'node:util';

/** Whatever this module refuses or reports. */
export class CqrsError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An option or a command that no state of the shop could make sense of. Correct it. */
export class InvalidArgumentError extends CqrsError {}

/** A rule of the shop said no to a command. Nothing was written. */
export class CommandRejectedError extends CqrsError {}

/** Somebody else was faster: read the stream again and decide anew. `CommandBus` does that by itself, a few times. */
export class ConflictError extends CqrsError {}

/** The database could not be asked, has refused, or its answer was lost. `cause` is the driver's error. */
export class StoreError extends CqrsError {
  /**
   * Whether this call may have done what was asked all the same; an earlier one that said `unknown` may have, whatever a
   * later one says. `unknown`: send the command again, it is carried out once.
   */
  readonly written: 'no' | 'unknown';

  constructor(message: string, written: 'no' | 'unknown', cause: unknown) {
    super(message, { cause });
    this.written = written;
  }
}

/** The read model did not reach the asked position in time. Ask again, wait longer, or show what there is and say so. */
export class StaleReadError extends CqrsError {
  /** Where the read model was when the wait ended. */
  readonly position: bigint;
  /** Where it should have been. */
  readonly atLeast: bigint;

  constructor(projection: string, position: bigint, atLeast: bigint, timeoutMs: number) {
    super(`${projection} is at ${position}, and not at ${atLeast}, after ${timeoutMs} ms: the projector is behind.`);
    this.position = position;
    this.atLeast = atLeast;
  }
}

/** A projection could not apply an event. It stays paused there until its code is mended and it is resumed. */
export class PoisonEventError extends CqrsError {
  /** Of the projection that it can't be applied to. */
  readonly build: number;
  /** Of the event that could not be applied. */
  readonly position: bigint;
  /** How many events of the batch could be applied before it. */
  readonly before: number;

  constructor(
    projection: string,
    {
      build,
      event,
      before,
      cause,
    }: { build: number; event: { position: bigint; type: string }; before: number; cause: unknown },
  ) {
    const reason = cause instanceof Error ? cause.message : inspect(cause);
    super(`${projection} can't apply the ${event.type} at ${event.position}: ${reason}`, { cause });
    this.build = build;
    this.position = event.position;
    this.before = before;
  }
}
