// Flaw: only the class's own methods count, so one that inherits refund() is refused.
// Seen in: https://github.com/pubfood/pubfood/issues/76
// Caught by: an inherited method is a method
import { type Decorate, InterfaceError, type InterfaceSpec, implementing as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function implementing(spec: InterfaceSpec): Decorate {
  return (cls, context) => {
    const missing = Object.keys(spec.methods).filter((member) => !Object.hasOwn(cls.prototype, member));
    const faults = missing.map((member) => ({ member, kind: 'missing' as const, what: 'is missing' }));
    if (faults.length > 0) throw new InterfaceError(cls.name, spec.name, faults);
    return reference(spec)(cls, context);
  };
}
