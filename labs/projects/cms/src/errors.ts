import { Code } from '@connectrpc/connect';
import type { Article, Field } from './article.ts';

/** What this package throws, apart from programming errors. */
export abstract class CmsError extends Error {
  /** What it is between services. */
  abstract readonly code: Code;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** Bad input: nothing was written. */
export class InvalidInputError extends CmsError {
  readonly code = Code.InvalidArgument;

  constructor(what: string, given: unknown, wanted: string) {
    super(`${what} is ${quotedStart(given)}: give ${wanted}.`);
  }
}

/** Nothing has this id, address or name. */
export class NotFoundError extends CmsError {
  readonly code = Code.NotFound;

  constructor(what: string, given: unknown) {
    super(`There is no ${what} ${quotedStart(given)}.`);
  }
}

/** In its state nobody can do this with the text. */
export class IllegalTransitionError extends CmsError {
  readonly code = Code.FailedPrecondition;

  constructor(action: string, state: string, possible: readonly string[]) {
    super(`A text in the state "${state}" has no "${action}". There is: ${possible.join(', ')}.`);
  }
}

/** Somebody else may, and this user may not. */
export class ForbiddenError extends CmsError {
  readonly code = Code.PermissionDenied;

  constructor(action: string, user: string, who: string) {
    super(`${quotedStart(user)} may not "${action}" this text: ${who}.`);
  }
}

/** The name or the password is wrong, or the session is over. */
export class UnauthenticatedError extends CmsError {
  readonly code = Code.Unauthenticated;
}

/** Another text is at this address. */
export class SlugTakenError extends CmsError {
  readonly code = Code.AlreadyExists;

  constructor(slug: string) {
    super(`Another text is at "${slug}": choose another address.`);
  }
}

/** It has been written meanwhile. Show the user both, and let him send his text again with the new revision. */
export class StaleEditError extends CmsError {
  readonly code = Code.Aborted;
  readonly current: Article;
  /** What somebody else has changed since the revision that the edit was made from. */
  readonly changed: readonly Field[];

  constructor(current: Article, given: number, changed: readonly Field[]) {
    const what = changed.length > 0 ? changed.join(', ') : 'its state';
    super(`The text is at revision ${current.revision}, and ${given} was edited: ${what} changed meanwhile.`);
    this.current = current;
    this.changed = changed;
  }
}

/** Postgres, OpenSearch or a service has not answered; what was asked may have been done. */
export class UnavailableError extends CmsError {
  readonly code = Code.Unavailable;

  constructor(what: string, cause: unknown) {
    super(`${what} has not answered: try again later.`, { cause });
  }
}

const quotedStart = (value: unknown) =>
  typeof value === 'string' ? JSON.stringify(value.slice(0, 80)) : String(value);

/** @throws InvalidInputError unless it is a text that Postgres can hold, within so many characters */
export function checkWords(what: string, value: unknown, least: number, most: number): asserts value is string {
  const fits = typeof value === 'string' && value.length >= least && value.length <= most;
  // JSON and JavaScript can say both; UTF-8, and with it Postgres, can't.
  if (!fits || !value.isWellFormed() || value.includes('\0')) {
    throw new InvalidInputError(what, value, `${least} to ${most} characters of well-formed text without U+0000`);
  }
}

/** @throws InvalidInputError */
export function checkAmount(what: string, value: unknown, least: number, most: number): asserts value is number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return;
  throw new InvalidInputError(what, value, `a whole number from ${least} to ${most}`);
}
