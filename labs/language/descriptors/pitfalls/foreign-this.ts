// Flaw: methods run with the Proxy as `this`, which has neither the private fields nor the internal slots of its target.
// Seen in: https://github.com/vuejs/core/issues/8245
// Caught by: a Map, a Date and an object with private fields work behind descriptors
import { type Namespace, attach as reference, type ValueOf } from '../src/index.ts';

export * from '../src/index.ts';

export function attach<T extends object, N extends Namespace>(
  target: T,
  attributes: N,
): Omit<T, keyof N> & { -readonly [K in keyof N]: ValueOf<N[K]> };
export function attach(target: object, attributes: Namespace): object {
  const front = reference({}, attributes);
  return new Proxy(target, {
    get: (_, key, receiver) => (key in attributes ? Reflect.get(front, key) : Reflect.get(target, key, receiver)),
    set: (_, key, value) => Reflect.set(key in attributes ? front : target, key, value),
    has: (_, key) => key in attributes || key in target,
  });
}
