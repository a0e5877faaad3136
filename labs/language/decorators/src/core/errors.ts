/** Every error of this library. */
export abstract class DecoratorError extends Error {
  override get name(): string {
    return this.constructor.name;
  }
}

/** A decorator stands where it can't work, or with options that make no sense. Thrown while the class is defined. */
export class MisuseError extends DecoratorError {}

/** Two methods claim one verb and path. Thrown by `buildRouter`. */
export class RouteConflictError extends DecoratorError {}

/**
 * A subclass overrides a method that requires a permission and does not say what the override requires. The legacy
 * dialect sees no subclass, so `buildRouter` refuses it.
 */
export class UnguardedOverrideError extends DecoratorError {}

/** An error that the caller may see: `serve` answers with its status, code and message. */
export class HttpError extends DecoratorError {
  /** From 400 to 599. */
  readonly status: number;
  /** For programs: `forbidden`. */
  readonly code: string;

  /** @throws MisuseError on a status that says no error. */
  constructor(status: number, code: string, message: string) {
    super(message);
    if (!(status >= 400 && status <= 599))
      throw new MisuseError(`an HttpError has a status from 400 to 599, not ${status}`);
    this.status = status;
    this.code = code;
  }
}

/** What came over the wire is not what the method takes. 400. */
export class BadRequestError extends HttpError {
  constructor(message: string) {
    super(400, 'bad-request', message);
  }
}

/** Nobody is signed in: the call is outside of `runAs`. 401. */
export class UnauthenticatedError extends HttpError {
  constructor(member: string) {
    super(401, 'unauthenticated', `${member} is for those who are signed in: call it within runAs(principal, …)`);
  }
}

/** The principal lacks a permission. 403. */
export class ForbiddenError extends HttpError {
  constructor(member: string, principal: string, permission: string) {
    super(403, 'forbidden', `${principal} may not call ${member}: it requires the permission "${permission}"`);
  }
}

/** The method took longer than it may. 504. */
export class TimeoutError extends HttpError {
  constructor(member: string, ms: number) {
    super(504, 'timeout', `${member} was not done after ${ms} ms`);
  }
}
