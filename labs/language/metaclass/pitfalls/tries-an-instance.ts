// Flaw: makes an instance to see what it can do, so that the check runs the constructor of code that nobody trusts yet.
// Seen in: https://github.com/daltonmatos/plugnplay/issues/13
// Caught by: a class without a method is refused when it is made, and none of its code has run
import { type Decorate, faultsOf, InterfaceError, type InterfaceSpec } from '../src/index.ts';

export * from '../src/index.ts';

export function implementing(spec: InterfaceSpec): Decorate {
  return (cls) => {
    const instance: object = Reflect.construct(cls, []);
    const faults = faultsOf(cls, spec).filter(({ member }) => !(member in instance));
    if (faults.length > 0) throw new InterfaceError(cls.name, spec.name, faults);
    return cls;
  };
}
