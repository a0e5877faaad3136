import { expectTypeOf, test } from 'vitest';
import {
  acquireAll,
  type ContextManager,
  closing,
  contextManager,
  ExitStack,
  entered,
  nullContext,
  suppress,
  withContext,
} from '#lab';

const borrow = contextManager(async function* (locker: number, owner: string) {
  yield { locker, owner };
});
const tolerant = contextManager(function* () {
  try {
    yield 7;
  } catch {
    return 'handled' as const;
  }
  return undefined;
});

test('a manager has the parameters of its generator, and gives what it yields', async () => {
  expectTypeOf(borrow).parameters.toEqualTypeOf<[number, string]>();
  expectTypeOf(withContext(borrow(1, 'Ada'), ({ owner }) => owner)).resolves.toEqualTypeOf<string>();
  await using held = await borrow(1, 'Ada').enter();
  expectTypeOf(held.value.locker).toEqualTypeOf<number>();
});

test('where an error may be handled, the result may be missing', () => {
  expectTypeOf(withContext(tolerant(), (n) => n + 1)).resolves.toEqualTypeOf<number | undefined>();
  expectTypeOf(
    withContext(
      suppress(() => true),
      () => 1,
    ),
  ).resolves.toEqualTypeOf<number | undefined>();
  expectTypeOf(withContext(new ExitStack(), async () => 1)).resolves.toEqualTypeOf<number | undefined>();
  expectTypeOf(
    withContext({ enter: () => entered('', () => new Set([1]).delete(1)) }, () => 1),
  ).resolves.toEqualTypeOf<number>();
  expectTypeOf(withContext(nullContext(1), async (n) => n)).resolves.toEqualTypeOf<number>();
});

test('several managers give a tuple of what they give', () => {
  const several = acquireAll(borrow(1, 'Ada'), nullContext('a coat'));
  expectTypeOf(withContext(several, (values) => values)).resolves.toEqualTypeOf<
    [{ locker: number; owner: string }, string]
  >();
  expectTypeOf(withContext(acquireAll(tolerant()), () => 1)).resolves.toEqualTypeOf<number | undefined>();
});

test('only what can be closed or disposed of is taken', () => {
  const stack = new ExitStack();
  expectTypeOf(stack.use(null)).toBeNull();
  expectTypeOf(closing({ close: async () => {} })).toExtend<ContextManager<{ close(): unknown }>>();
  // @ts-expect-error a number has no dispose
  stack.use(7);
  // @ts-expect-error nothing says how to close it
  closing({ end: () => {} });
  // @ts-expect-error a class is no predicate
  suppress(TypeError);
  // @ts-expect-error `fn` takes a number
  stack.callback((n: number) => n, 'text');
});
