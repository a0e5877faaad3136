// Flaw: any truthy answer is a yes, and the promise of an async policy is truthy, whatever it resolves to.
// Seen in: https://github.com/UKPLab/CARE/issues/244
// Caught by: only true is a yes
import { type Attribute, type Policy, guarded as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function guarded<T, O extends object = object>(policy: Policy, inner?: Attribute<T, O>): Attribute<T, O> {
  const { read, write } = policy;
  return reference(
    {
      ...(read && { read: (o, attribute) => Boolean(read(o, attribute)) }),
      ...(write && { write: (o, attribute) => Boolean(write(o, attribute)) }),
    },
    inner,
  );
}
