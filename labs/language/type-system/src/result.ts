/** What a function gives that may fail in a way its caller has to think of: the compiler asks for a look at `ok`. */
export type Result<T, E> = Ok<T> | Err<E>;

export interface Ok<T> {
  readonly ok: true;
  readonly value: T;
}

export interface Err<E> {
  readonly ok: false;
  readonly error: E;
}

export const ok = <T>(value: T): Ok<T> => ({ ok: true, value });
export const err = <const E>(error: E): Err<E> => ({ ok: false, error });

/** What is wrong with one place of a value that came from outside. */
export interface Issue {
  /** From the outside in: `['address', 'city']`; empty for the whole. */
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** A case that the compiler proved impossible has come all the same: from JavaScript, a cast, or an older version. */
export class ImpossibleCaseError extends Error {
  override readonly name = 'ImpossibleCaseError';
  readonly value: unknown;

  constructor(value: unknown) {
    super(`no case handles ${clip(describe(value))}: handle it where this was thrown`);
    this.value = value;
  }
}

/**
 * Ends a switch over a union: a case that is forgotten is a compile error here, since what is left is then not `never`.
 * @throws ImpossibleCaseError when it is reached.
 */
export function assertNever(value: never): never {
  throw new ImpossibleCaseError(value);
}

/** A message is for people: what is in it from outside may be endless. */
export const clip = (text: string): string => (text.length <= 200 ? text : `${text.slice(0, 200).toWellFormed()}…`);

function describe(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return `a ${typeof value}`;
  }
}
