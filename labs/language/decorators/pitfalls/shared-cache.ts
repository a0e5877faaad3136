// Flaw: a decorator runs once for the class, so a cache made there is one for all instances.
// Seen in: https://github.com/jayphelps/core-decorators/issues/67, https://github.com/sindresorhus/p-memoize/issues/46
// Caught by: each instance has a cache of its own
import { caching } from '../src/core/cache.ts';
import { standard as reference } from '../src/index.ts';
import { onReader } from '../src/standard/decorate.ts';

export * from '../src/index.ts';

const cached: typeof reference.cached = (options) =>
  onReader('cached', (method, name) => {
    const everybody = {};
    let self: unknown;
    const remembered = caching(options)((...args) => Reflect.apply(method, self, args), name);
    return function (...args) {
      self = this;
      return Reflect.apply(remembered, everybody, args);
    };
  });

export const standard = { ...reference, cached };
