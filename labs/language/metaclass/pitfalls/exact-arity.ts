// Flaw: `length` must be the number of arguments, though it ends at the first default or rest.
// Seen in: https://github.com/modofunjs/modofun/issues/5
// Caught by: defaults, rest and unused parameters are no fault
import { type Decorate, InterfaceError, type InterfaceSpec, implementing as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function implementing(spec: InterfaceSpec): Decorate {
  return (cls, context) => {
    const made = reference(spec)(cls, context);
    for (const [member, { args }] of Object.entries(spec.methods)) {
      const { length } = Reflect.get(made.prototype, member);
      if (args === undefined || length === args) continue;
      throw new InterfaceError(made.name, spec.name, [{ member, kind: 'arity', what: `has ${length} parameters` }]);
    }
    return made;
  };
}
