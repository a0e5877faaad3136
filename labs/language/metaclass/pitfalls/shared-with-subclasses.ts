// Flaw: the one instance is given to whoever constructs, subclasses included: they get their parent.
// Seen in: https://github.com/fxlrnrpt/singleton/issues/1
// Caught by: a subclass of a singleton has instances of its own
import { intercept } from '../src/class.ts';
import type { Decorate } from '../src/index.ts';

export * from '../src/index.ts';

export function singleton(): Decorate {
  return (cls) => {
    let instance: object | undefined;
    const shared = (make: () => object) => {
      instance ??= make();
      return instance;
    };
    return intercept(cls, shared, shared);
  };
}
