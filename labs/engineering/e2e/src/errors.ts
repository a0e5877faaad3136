/** Anything that this library says; each class has a `code` of its own. */
export abstract class E2eError extends Error {
  abstract readonly code: string;
}

/** A test or its setup asked for something that makes no sense. Nothing was done. */
export class InvalidArgumentError extends E2eError {
  override readonly name = 'InvalidArgumentError';
  readonly code = 'INVALID_ARGUMENT';
}

/** The page was not quiet, or an error that the test has announced never came. */
export class NoisyPageError extends E2eError {
  override readonly name = 'NoisyPageError';
  readonly code = 'NOISY_PAGE';
  readonly noises: readonly Noise[];

  constructor(message: string, noises: readonly Noise[]) {
    super(message);
    this.noises = noises;
  }
}

/** What a page does that no test should overlook. */
export interface Noise {
  readonly kind: 'console' | 'exception' | 'foreign' | 'crash';
  /** At most 500 characters. */
  readonly text: string;
  /** The page, or the address that it asked for. */
  readonly url: string;
}

/** A fault was set and befell no request, so the test has shown nothing about it. */
export class UnusedFaultError extends E2eError {
  override readonly name = 'UnusedFaultError';
  readonly code = 'UNUSED_FAULT';
}

/** The page breaks rules of accessibility, or could not be judged. */
export class AccessibilityError extends E2eError {
  override readonly name = 'AccessibilityError';
  readonly code = 'ACCESSIBILITY';
  readonly violations: readonly Violation[];

  constructor(message: string, violations: readonly Violation[]) {
    super(message);
    this.violations = violations;
  }
}

/** One element that breaks one rule. */
export interface Violation {
  /** axe's name of it: `label`, `color-contrast`. */
  readonly rule: string;
  readonly impact: string;
  readonly help: string;
  /** The element, as a CSS selector; through frames with `>>>` between. */
  readonly at: string;
}

/** The database can't be had, or can't be made as it was. */
export class DatabaseError extends E2eError {
  override readonly name: string = 'DatabaseError';
  readonly code: string = 'DATABASE';
}

/** Something holds a table for longer than a reset waits: a transaction that the test before has left open. */
export class DatabaseBusyError extends DatabaseError {
  override readonly name = 'DatabaseBusyError';
  override readonly code = 'DATABASE_BUSY';
}

/** A sign-in ended, and nobody is signed in. */
export class SignInError extends E2eError {
  override readonly name = 'SignInError';
  readonly code = 'SIGN_IN';
}

/** This is no report of Playwright's JSON reporter. */
export class ReportError extends E2eError {
  override readonly name = 'ReportError';
  readonly code = 'REPORT';
}
