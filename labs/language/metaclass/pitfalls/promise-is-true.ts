// Flaw: an async method passes where callers use the result at once, and a promise of `false` is true.
// Seen in: https://github.com/repocrypts/Validator/issues/43
// Caught by: an async method where callers use the result at once is refused
import { type Decorate, type InterfaceSpec, implementing as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function implementing(spec: InterfaceSpec): Decorate {
  const blind = Object.entries(spec.methods).map(([member, { kind: _, ...rest }]) => [member, rest]);
  return reference({ ...spec, methods: Object.fromEntries(blind) });
}
