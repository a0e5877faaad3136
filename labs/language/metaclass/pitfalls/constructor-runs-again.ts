// Flaw: `new` gives the old instance back, after the constructor has run once more.
// Seen in: https://github.com/apache/airflow/pull/32218
// Caught by: a singleton is constructed once, whatever the arguments
import { intercept } from '../src/class.ts';
import type { Decorate } from '../src/index.ts';

export * from '../src/index.ts';

export function singleton(): Decorate {
  return (cls) => {
    let instance: object | undefined;
    return intercept(cls, (make) => {
      const made = make();
      instance ??= made;
      return instance;
    });
  };
}
