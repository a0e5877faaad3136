// Flaw: the construct trap calls `new target()` and drops new.target, so a subclass makes instances of its parent.
// Seen in: https://github.com/newrelic/node-newrelic/pull/1127
// Caught by: a subclass of a singleton has instances of its own
import { intercept } from '../src/class.ts';
import type { Decorate } from '../src/index.ts';

export * from '../src/index.ts';

export function singleton(): Decorate {
  return (cls) => {
    let instance: object | undefined;
    return intercept(
      cls,
      (make) => {
        instance ??= make();
        return instance;
      },
      (_make, args) => Reflect.construct(cls, args),
    );
  };
}
