import type { Issue } from './input.ts';

/** All errors of this package; tell them apart by class or by `code`. `status` is what the client is answered. */
export abstract class WebApiError extends Error {
  abstract readonly code: string;
  abstract readonly status: number;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An answer of the handler's own choice, such as 404. Its code and its message are the client's to read. @throws DeclarationError if `status` is no 4xx or 5xx: nothing is kept of what has failed. */
export class HttpError extends WebApiError {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    if (!Number.isInteger(status) || status < 400 || status > 599) {
      throw new DeclarationError(`The status of an HttpError is ${status}: give a whole number from 400 to 599.`);
    }
    this.status = status;
    this.code = code;
  }
}

/** What nobody could read: broken JSON, another charset, a body that is too large. */
export class MalformedRequestError extends WebApiError {
  readonly code = 'MALFORMED_REQUEST';
  readonly status: number;

  constructor(status: 400 | 413 | 415, message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

/** What could be read and does not fit its schema, with every place at which it doesn't. */
export class ValidationError extends WebApiError {
  readonly code = 'VALIDATION';
  readonly status = 422;
  readonly issues: readonly Issue[];

  constructor(issues: readonly Issue[]) {
    super(`The request has ${issues.length} ${issues.length === 1 ? 'fault' : 'faults'}.`);
    this.issues = issues;
  }
}

/** The handler's value does not fit its response schema. The client learns nothing of it; the message has no values either. */
export class ResponseInvalidError extends WebApiError {
  readonly code = 'RESPONSE_INVALID';
  readonly status = 500;
}

/** Not done in time, and nothing of it was kept. */
export class DeadlineExceededError extends WebApiError {
  readonly code = 'DEADLINE_EXCEEDED';
  readonly status = 504;

  constructor(deadlineMs: number) {
    super(`Not done within ${deadlineMs} ms. Nothing of it was kept: it may be tried again.`);
  }
}

/** The client has closed the connection before its answer. 499 is nginx's number for it; nobody is there to read it. */
export class ClientGoneError extends WebApiError {
  readonly code = 'CLIENT_GONE';
  readonly status = 499;

  constructor() {
    super('The client was gone before the answer.');
  }
}

/** Cut off because the server stops, and nothing of it was kept. */
export class ShuttingDownError extends WebApiError {
  readonly code = 'SHUTTING_DOWN';
  readonly status = 503;

  constructor() {
    super('The server stops. Nothing of it was kept: try again elsewhere.');
  }
}

/** Told to `onError`: close() has gone on without work that ignores its signal. */
export class StillAtWorkError extends WebApiError {
  readonly code = 'STILL_AT_WORK';
  readonly status = 500;

  constructor(what: string, ms: number) {
    super(`${what} not done ${ms} ms after the stop had cut it off: let it heed its signal.`);
  }
}

/** Dependencies that need each other. */
export class DependencyCycleError extends WebApiError {
  readonly code = 'DEPENDENCY_CYCLE';
  readonly status = 500;

  constructor(names: readonly string[]) {
    super(`Dependencies that need each other: ${names.join(' → ')}.`);
  }
}

/** Asked for when the request that it would belong to has ended. */
export class ScopeOverError extends WebApiError {
  readonly code = 'SCOPE_OVER';
  readonly status = 500;

  constructor(name: string) {
    super(`${name} was asked for after the end of its request: await inject() before the yield.`);
  }
}

/** A declaration that nothing could be done with. */
export class DeclarationError extends WebApiError {
  readonly code = 'DECLARATION';
  readonly status = 500;
}
