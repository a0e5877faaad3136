import { type Class, type Decorate, intercept, layersOf } from './class.ts';
import { FinalClassError } from './errors.ts';

const finals = new WeakSet<Class>();

/**
 * Refuses subclasses: `defineClass` when it is asked to make one, any other at its first `new`.
 *
 * JavaScript tells nobody that a subclass is made. `class B extends A` reads `A.prototype`, and so does `instanceof`:
 * the first sure sign of a subclass is its `super()`.
 *
 * @throws FinalClassError as said above.
 */
export function final(): Decorate {
  return (cls) => {
    const sealed = intercept(
      cls,
      (make) => make(),
      () => {
        throw new FinalClassError(cls.name);
      },
    );
    finals.add(cls).add(sealed);
    return sealed;
  };
}

export function isFinal(cls: Class): boolean {
  return [...layersOf(cls)].some((layer) => finals.has(layer));
}
