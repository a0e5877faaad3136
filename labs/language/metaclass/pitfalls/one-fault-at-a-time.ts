// Flaw: the first fault ends the check, so an author with three faults needs three runs.
// Seen in: https://github.com/ssannandeji/Zenject-2019/issues/347
// Caught by: all faults are told at once
import { whenComplete } from '../src/class.ts';
import { type Decorate, faultsOf, InterfaceError, type InterfaceSpec } from '../src/index.ts';

export * from '../src/index.ts';

export function implementing(spec: InterfaceSpec): Decorate {
  return (cls, context) =>
    whenComplete(cls, context, (complete) => {
      const [first] = faultsOf(complete, spec);
      if (first) throw new InterfaceError(complete.name, spec.name, [first]);
    });
}
