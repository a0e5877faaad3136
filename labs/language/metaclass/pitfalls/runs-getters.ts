// Flaw: members are read from the prototype to look at them, which runs getters, without an instance.
// Seen in: https://github.com/kodefox/class-autobind/issues/5
// Caught by: no getter runs while a class is checked
import { type Decorate, InterfaceError, type InterfaceSpec, implementing as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function implementing(spec: InterfaceSpec): Decorate {
  return (cls, context) => {
    const absent = Object.keys(spec.methods).filter((member) => cls.prototype[member] === undefined);
    const faults = absent.map((member) => ({ member, kind: 'missing' as const, what: 'is missing' }));
    if (faults.length > 0) throw new InterfaceError(cls.name, spec.name, faults);
    return reference(spec)(cls, context);
  };
}
