// Flaw: "constructed" is noted before the constructor has ended: when it throws, there is never an instance.
// Seen in: https://github.com/onyx-dot-app/onyx/pull/11580
// Caught by: a constructor that threw is tried again
import { intercept } from '../src/class.ts';
import type { Decorate } from '../src/index.ts';

export * from '../src/index.ts';

export function singleton(): Decorate {
  return (cls) => {
    let constructed = false;
    let instance: object = {};
    return intercept(cls, (make) => {
      if (constructed) return instance;
      constructed = true;
      instance = make();
      return instance;
    });
  };
}
