// Laws for the compiler: nothing here is run.
import { test } from 'vitest';
import { asCompleted, Executor, type Future, wait } from '#lab';
import type * as PhotoLab from './photo-lab.ts';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>): void => {};

declare const pool: Executor<typeof PhotoLab>;

test('a task has the input and the result of the function that it names', async () => {
  const photo = pool.submit('develop', 1);
  same<typeof photo, Future<string>>(true);
  const held = pool.submit('hold', { film: 1, gate: '' });
  same<typeof held, Future<string>>(true);
  for await (const { future } of asCompleted([photo, pool.submit('burn', 5)])) {
    same<typeof future, Future<string> | Future<number>>(true);
  }
  const { done } = await wait([photo]);
  same<typeof done, Set<Future<string>>>(true);
  for await (const each of pool.map('burn', [1, 2])) same<typeof each, number>(true);
});

test('a task that the module has not, or an input that it does not take, is refused', () => {
  // @ts-expect-error no such task
  pool.submit('frame', 1);
  // @ts-expect-error a text for a number
  pool.submit('develop', 'film');
  // @ts-expect-error what every object has is no task
  pool.submit('toString', undefined);
  // @ts-expect-error a text for a number
  pool.map('develop', ['film']);
});

test('what the module has is said by the type of the pool alone, never guessed from its options', () => {
  const options = { file: new URL('photo-lab.ts', import.meta.url), kind: 'thread' } as const;
  const lab: Executor<typeof PhotoLab> = new Executor(options);
  same<typeof lab, Executor<typeof PhotoLab>>(true);
  new Executor<typeof PhotoLab>({ ...options, initializer: { name: 'burn', input: 5 } });
  // @ts-expect-error a text for a number
  new Executor<typeof PhotoLab>({ ...options, initializer: { name: 'burn', input: 'long' } });
  const unsaid = new Executor(options);
  // @ts-expect-error nobody has said which tasks there are
  unsaid.submit('develop', 1);
});
