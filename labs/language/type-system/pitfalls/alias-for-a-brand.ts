// Flaw: the identity is an alias of number: the compiler takes any number for a user, and any user for an order.
// Seen in: https://github.com/microsoft/TypeScript/issues/202
// Caught by: a number is no user id, and a user id is a number
import { type Issue, type Result, userId as reference } from '../src/index.ts';

export * from '../src/index.ts';

export type UserId = number;

export function userId(value: unknown): Result<UserId, Issue> {
  return reference(value);
}
