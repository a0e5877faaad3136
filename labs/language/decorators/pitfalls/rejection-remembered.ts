// Flaw: a promise is remembered before it is known how it ends, so one failure is the answer for a whole TTL.
// Seen in: https://github.com/medikoo/memoizee/issues/117
// Caught by: what throws or rejects is not remembered
import { caching } from '../src/core/cache.ts';
import { standard as reference } from '../src/index.ts';
import { onReader } from '../src/standard/decorate.ts';

export * from '../src/index.ts';

const cached: typeof reference.cached = (options) =>
  onReader('cached', (method, name) => {
    // In a box the cache does not see that it is a promise.
    const boxed = caching(options)(function (...args) {
      return [Reflect.apply(method, this, args)];
    }, name);
    return function (...args) {
      const box = Reflect.apply(boxed, this, args);
      return Array.isArray(box) ? box[0] : box;
    };
  });

export const standard = { ...reference, cached };
