/** What this package throws, apart from programming errors. `status` is for an HTTP answer. */
export abstract class OpsError extends Error {
  abstract readonly status: number;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** Bad input: nothing was written and nothing was started. */
export class InvalidArgumentError extends OpsError {
  readonly status = 400;
}

/** Steps that need each other: none of them could be the first. */
export class CycleError extends InvalidArgumentError {
  readonly steps: readonly string[];

  constructor(steps: readonly string[]) {
    super(`These steps need each other: ${steps.join(' → ')}. Take one "needs" away.`);
    this.steps = steps;
  }
}

/** No user and no host has this token. */
export class UnknownTokenError extends OpsError {
  readonly status = 401;

  constructor() {
    super('No such token: send "Authorization: Bearer …" with one that is known.');
  }
}

/** The role does not allow it. */
export class ForbiddenError extends OpsError {
  readonly status = 403;

  constructor(who: string, role: string, action: string) {
    super(`${who} is ${role} and may not ${action}: ask somebody who may.`);
  }
}

export class NotFoundError extends OpsError {
  readonly status = 404;

  constructor(what: string, name: string) {
    super(`There is no ${what} "${name}": make it first.`);
  }
}

/** Whoever wrote has been the leader, and is none any more: nothing of it was written. */
export class StaleFenceError extends OpsError {
  readonly status = 409;

  constructor(fence: bigint) {
    super(`The lease ${fence} has been taken over: stop, and ask for a new one.`);
  }
}

/** Postgres has not answered. Whether the call had an effect is not known. */
export class StoreUnavailableError extends OpsError {
  readonly status = 503;

  constructor(cause: unknown) {
    super(`Postgres has not answered (${cause instanceof Error ? cause.message : String(cause)}): try again.`, {
      cause,
    });
  }
}

/** A step that has not done what it should. The message is for the report. */
export class StepFailedError extends OpsError {
  readonly status = 500;
}

/** @throws InvalidArgumentError */
export function checkIntegerIn(
  what: string,
  value: unknown,
  least: number,
  most = 2 ** 31 - 1,
): asserts value is number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return;
  throw new InvalidArgumentError(`${what} is ${String(value)}: give a whole number from ${least} to ${most}.`);
}
