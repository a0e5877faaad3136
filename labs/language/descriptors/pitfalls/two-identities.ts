// Flaw: each call makes another Proxy, and a WeakMap, a Set or === takes one object for two.
// Seen in: https://github.com/vuejs/core/issues/2100
// Caught by: an object has one Proxy, and its methods do not give away what is behind
import { type Namespace, attach as reference, type ValueOf } from '../src/index.ts';

export * from '../src/index.ts';

export function attach<T extends object, N extends Namespace>(
  target: T,
  attributes: N,
): Omit<T, keyof N> & { -readonly [K in keyof N]: ValueOf<N[K]> };
export function attach(target: object, attributes: Namespace): object {
  return new Proxy(reference(target, attributes), {});
}
