// Flaw: the class is looked at when the decorator is called, before its static fields are there.
// Seen in: https://github.com/microsoft/TypeScript/issues/61862
// Caught by: under decorator syntax, static fields are looked at once they are there
import { type Decorate, type InterfaceSpec, implementing as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function implementing(spec: InterfaceSpec): Decorate {
  return (cls) => reference(spec)(cls);
}
