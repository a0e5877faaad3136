// Laws for the compiler: nothing here is run.
import { test } from 'vitest';
import { type HybridOptions, hybrid, recommend } from '#lab';
import type * as Kitchen from './kitchen.ts';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>): void => {};

interface Adder {
  default: (pair: { a: number; b: number }) => Promise<number>;
}
declare const options: HybridOptions;

test('a task takes what the default export takes, and gives what it gives', () => {
  const adder = hybrid<Adder>(options);
  const sum = adder.run({ a: 1, b: 2 });
  same<typeof sum, Promise<number>>(true);
  // @ts-expect-error b is missing
  adder.run({ a: 1 });
  // @ts-expect-error no such dish
  hybrid<typeof Kitchen>(options).run({ dish: 'pizza' });
  // @ts-expect-error nobody has said what the module is
  hybrid(options).run({ dish: 'stove' });
  // @ts-expect-error a module without a default export
  hybrid<{ add: () => number }>(options);
});

test('a workload is of one of three kinds', () => {
  // @ts-expect-error no such kind
  recommend({ kind: 'gpu' }, { physical: 1, effective: 1 });
});
