import { err, type Issue, ok, type Result } from './result.ts';

declare const brand: unique symbol;

/**
 * A `T` that only its constructor makes: `Brand<number, 'UserId'>` is a number wherever one is asked for, and no number is
 * a UserId. The brand exists for the compiler alone; nothing of it is there when the program runs.
 */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** A whole number from 1 that JavaScript can hold exactly. */
export type UserId = Brand<number, 'UserId'>;

/**
 * An address with one `@`, well-formed, at most 254 bytes (RFC 5321, 4.5.3.1.3), without characters that nobody sees: with
 * them two addresses would look like one. Whether it exists, only a mail tells.
 */
export type Email = Brand<string, 'Email'>;

const isUserId = (value: unknown): value is UserId =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 1;

const isEmail = (value: unknown): value is Email =>
  typeof value === 'string' &&
  value.length <= 254 &&
  new TextEncoder().encode(value).length <= 254 &&
  value.isWellFormed() &&
  /^[^\s@\p{Cc}\p{Cf}]+@[^\s@\p{Cc}\p{Cf}]+\.[^\s@\p{Cc}\p{Cf}]+$/u.test(value);

/** The only door to a UserId. */
export function userId(value: unknown): Result<UserId, Issue> {
  return isUserId(value) ? ok(value) : err({ path: [], message: 'must be a whole number from 1' });
}

/** The only door to an Email. */
export function email(value: unknown): Result<Email, Issue> {
  return isEmail(value) ? ok(value) : err({ path: [], message: 'must be an e-mail address' });
}
