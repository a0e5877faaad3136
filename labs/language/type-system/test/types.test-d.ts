import { describe, expectTypeOf, test } from 'vitest';
import {
  type Brand,
  type Email,
  type Equal,
  email,
  parse,
  parseUser,
  type Result,
  Stack,
  type User,
  type UserId,
  userId,
} from '#lab';

describe('what the types promise', () => {
  test('a number is no user id, and a user id is a number', () => {
    expectTypeOf<number>().not.toExtend<UserId>();
    expectTypeOf<UserId>().toExtend<number>();
    expectTypeOf<Brand<number, 'OrderId'>>().not.toExtend<UserId>();
    expectTypeOf<Email>().not.toEqualTypeOf<string>();
  });

  test('an empty stack is in the type of pop', () => {
    expectTypeOf(new Stack<number>().pop()).toEqualTypeOf<number | undefined>();
  });

  test('an overload tells each caller what he gets', () => {
    expectTypeOf(parse('7')).toEqualTypeOf<number>();
    expectTypeOf(parse(new Uint8Array())).toEqualTypeOf<string>();
  });

  test('a value is within reach only after a look at ok', () => {
    const result = parseUser({});
    expectTypeOf(result).not.toHaveProperty('value');
    if (result.ok) expectTypeOf(result.value).toEqualTypeOf<User>();
    expectTypeOf(userId(7)).toExtend<Result<UserId, { message: string }>>();
    expectTypeOf(email).returns.toExtend<Result<Email, { message: string }>>();
  });

  test('equality of types is not fooled by any', () => {
    expectTypeOf<Equal<number, number>>().toEqualTypeOf<true>();
    expectTypeOf<Equal<{ a: unknown }, { a: string }>>().toEqualTypeOf<false>();
    expectTypeOf<Equal<{ a?: string }, { a?: string | undefined }>>().toEqualTypeOf<false>();
  });
});
