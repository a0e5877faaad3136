// Flaw: the class is replaced by an anonymous subclass, which has no name.
// Seen in: https://github.com/nodejs/node/issues/32035
// Caught by: the singleton keeps its name, its statics and instanceof
import { isClass } from '../src/class.ts';
import { type Class, type Decorate, singleton as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function singleton(): Decorate {
  return (cls) => {
    const wrapper: typeof cls = Object(wrapped(cls));
    return reference()(wrapper);
  };
}

function wrapped(base: unknown): Class {
  if (!isClass(base)) throw new TypeError(`${base} is no class`);
  return class extends base {};
}
